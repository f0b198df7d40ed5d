package driver;

/** An error that the driver itself reports, by one of the protocol's own codes. */
final class Refusal extends RuntimeException {
    private static final long serialVersionUID = 1L;

    final String code;

    private Refusal(String code, String message) {
        super(message);
        this.code = code;
    }

    static Refusal badCommand(String message) {
        return new Refusal("BAD_COMMAND", message);
    }

    static Refusal unsupported(String message) {
        return new Refusal("UNSUPPORTED", message);
    }
}
