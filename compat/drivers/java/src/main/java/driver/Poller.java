package driver;

import java.time.Duration;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.common.errors.WakeupException;

/**
 * Polls that another thread can cut short, and none but the poll: a wake-up that comes when the poll
 * has just returned would strike the consumer's next call, whatever it is.
 */
final class Poller {
    private final Consumer<byte[], byte[]> consumer;
    private boolean isPolling;
    private boolean isWoken;
    private boolean isKnocked;

    Poller(Consumer<byte[], byte[]> consumer) {
        this.consumer = consumer;
    }

    /** From any thread: whoever polls or rests returns soon, or does not begin. */
    synchronized void knock() {
        isKnocked = true;
        notifyAll();
        if (isPolling && !isWoken) {
            isWoken = true;
            consumer.wakeup();
        }
    }

    /** Records; none when knocked at. Throws what the consumer throws. */
    ConsumerRecords<byte[], byte[]> poll(long millis) {
        Duration timeout;
        synchronized (this) {
            timeout = Duration.ofMillis(isKnocked || isWoken ? 0 : millis);
            isKnocked = false;
            isPolling = true;
        }
        boolean hasHeard = false;
        try {
            return consumer.poll(timeout);
        } catch (WakeupException error) {
            hasHeard = true;
            return ConsumerRecords.empty();
        } finally {
            synchronized (this) {
                isPolling = false;
                isWoken &= !hasHeard;
            }
        }
    }

    /** Whether the next poll will only hear a wake-up: no other call may come before. */
    synchronized boolean isOwedWakeup() {
        return isWoken;
    }

    synchronized void rest(long millis) throws InterruptedException {
        if (!isKnocked && millis > 0) {
            wait(millis);
        }
        isKnocked = false;
    }
}
