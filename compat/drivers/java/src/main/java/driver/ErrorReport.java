package driver;

import com.google.gson.JsonObject;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.AuthenticationException;
import org.apache.kafka.common.errors.DisconnectException;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.NetworkException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.UnknownServerException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.protocol.Errors;

/**
 * What an exception of the client is in the protocol's words.
 *
 * <p>The client has one exception class for an error of a broker and for the same kind of error of
 * its own; where a message of the client's own tells them apart, it is looked at.
 */
final class ErrorReport {
    final String code;
    /** Kafka's number, or null for what did not come from a broker. */
    final Short number;
    private final String message;
    private final boolean isRetriable;
    final boolean isFatal;

    private ErrorReport(String code, Short number, Throwable thrown, boolean isFatal) {
        this.code = code;
        this.number = number;
        this.message = messageOf(thrown);
        this.isRetriable = thrown instanceof RetriableException;
        this.isFatal = isFatal;
    }

    /** With the causes', for "Failed to construct kafka consumer" says too little. */
    private static String messageOf(Throwable thrown) {
        String own = thrown.getMessage() == null ? thrown.toString() : thrown.getMessage();
        Throwable cause = thrown.getCause();
        return cause == null || own.contains(cause.toString())
                ? own
                : own + ": " + messageOf(cause);
    }

    static ErrorReport of(Throwable thrown) {
        Throwable error = thrown;
        while ((error instanceof ExecutionException || error instanceof CompletionException)
                && error.getCause() != null) {
            error = error.getCause();
        }
        String own = ownCode(error);
        if (own != null) {
            return new ErrorReport(own, null, error, isFatal(error, own));
        }
        if (error instanceof OffsetOutOfRangeException) {
            return ofKafka(Errors.OFFSET_OUT_OF_RANGE, error);
        }
        for (Throwable each = error; each != null; each = each.getCause()) {
            Errors found = Errors.forException(each);
            if (found != Errors.UNKNOWN_SERVER_ERROR || each instanceof UnknownServerException) {
                return ofKafka(found, error);
            }
        }
        return ofClient(error);
    }

    /** Of what was refused before any broker was asked. */
    static ErrorReport ofClient(Throwable error) {
        String code = error instanceof Refusal ? ((Refusal) error).code : "CLIENT";
        return new ErrorReport(code, null, error, false);
    }

    private static ErrorReport ofKafka(Errors found, Throwable error) {
        return new ErrorReport(found.name(), found.code(), error, isFatal(error, found.name()));
    }

    /** The code of an error that is the client's own, or null. */
    private static String ownCode(Throwable error) {
        String message = String.valueOf(error.getMessage());
        if (error instanceof Refusal) {
            return ((Refusal) error).code;
        }
        if (error instanceof TimeoutException) {
            return message.equals(Errors.REQUEST_TIMED_OUT.message()) ? null : "TIMEOUT";
        }
        if (error instanceof DisconnectException || error instanceof NetworkException) {
            return "DISCONNECTED";
        }
        if (error instanceof UnsupportedVersionException) {
            return message.equals(Errors.UNSUPPORTED_VERSION.message()) ? null : "UNSUPPORTED";
        }
        if (error instanceof RecordTooLargeException && message.contains("when serialized")) {
            return "CLIENT";
        }
        if (error instanceof CommitFailedException || isProducerInError(error)) {
            return "FENCED";
        }
        return null;
    }

    /** What every call of an idempotent producer throws once it has met an error for good. */
    private static boolean isProducerInError(Throwable error) {
        String message = String.valueOf(error.getMessage());
        return error.getClass() == KafkaException.class
                && (message.startsWith("Cannot perform ")
                        || message.startsWith("Cannot execute transactional method"));
    }

    private static boolean isFatal(Throwable error, String code) {
        return error instanceof FencedInstanceIdException
                || error instanceof ProducerFencedException
                || error instanceof AuthenticationException
                || (code.equals("FENCED") && !(error instanceof CommitFailedException));
    }

    JsonObject json() {
        return Json.object(
                "code", code,
                "number", number,
                "message", message,
                "retriable", isRetriable,
                "fatal", isFatal);
    }

    /** {@code {"error": {...}}}, as it stands with one of several. */
    static JsonObject alone(Throwable thrown) {
        return Json.object("error", of(thrown).json());
    }
}
