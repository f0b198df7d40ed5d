import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.kafka.ConfluentKafkaContainer;
import org.testcontainers.kafka.KafkaContainer;
import org.testcontainers.utility.DockerImageName;

/** Every container class of the Kafka module, with the one image. */
class Shapes {
    static DockerImageName as(String original) {
        return DockerImageName.parse("pykbroker:7.6.0").asCompatibleSubstituteFor(original);
    }

    static void check(String name, GenericContainer<?> container, String servers) throws Exception {
        try (container; Admin admin = Admin.create(Map.of("bootstrap.servers", servers))) {
            admin.listTopics().names().get();
            System.out.println(name);
        }
    }

    @SuppressWarnings("deprecation")
    public static void main(String[] arguments) throws Exception {
        var apache = new KafkaContainer(as("apache/kafka"));
        apache.start();
        check("apache", apache, apache.getBootstrapServers());
        var confluent = new ConfluentKafkaContainer(as("confluentinc/cp-kafka"));
        confluent.start();
        check("confluent", confluent, confluent.getBootstrapServers());
        var kraft = new org.testcontainers.containers.KafkaContainer(as("confluentinc/cp-kafka"));
        kraft.withKraft().start();
        check("kraft", kraft, kraft.getBootstrapServers());
        var old = new org.testcontainers.containers.KafkaContainer(as("confluentinc/cp-kafka"));
        old.start();
        check("zookeeper", old, old.getBootstrapServers());
    }
}
