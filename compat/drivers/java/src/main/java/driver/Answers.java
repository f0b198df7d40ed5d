package driver;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/** Standard output: whole lines, from any thread. */
final class Answers {
    private final OutputStream output = new FileOutputStream(FileDescriptor.out);

    void result(Command command, JsonObject result) {
        line(Json.object("id", command.id, "ok", true, "result", result));
    }

    void error(JsonElement id, ErrorReport error) {
        line(Json.object("id", id, "ok", false, "error", error.json()));
    }

    synchronized void line(JsonObject line) {
        try {
            output.write((Json.text(line) + "\n").getBytes(StandardCharsets.UTF_8));
        } catch (IOException error) {
            // Nobody reads any more.
            Runtime.getRuntime().halt(1);
        }
    }
}
