import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.testcontainers.kafka.KafkaContainer;
import org.testcontainers.utility.DockerImageName;

class OrdersTest {
    public static void main(String[] arguments) throws Exception {
        DockerImageName image =
                DockerImageName.parse("pykbroker").asCompatibleSubstituteFor("apache/kafka");
        try (KafkaContainer kafka = new KafkaContainer(image)) {
            kafka.start();
            Map<String, Object> settings = Map.of("bootstrap.servers", kafka.getBootstrapServers());
            try (Admin admin = Admin.create(settings)) {
                System.out.println(admin.describeCluster().clusterId().get());
            }
        }
    }
}
