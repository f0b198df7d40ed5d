package driver;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;

/** One line from standard input. */
final class Command {
    final JsonElement id;
    /** {@code producer}, {@code consumer} or {@code admin}. */
    final String kind;
    final String verb;
    final String handle;
    final Fields fields;

    /** Throws Refusal. */
    Command(JsonObject line) {
        this.id = idOf(line);
        this.fields = new Fields(line);
        String[] words = fields.text("op").split("\\.", 2);
        if (words.length != 2) {
            throw Refusal.badCommand("there is no op " + words[0]);
        }
        this.kind = words[0];
        this.verb = words[1];
        this.handle = fields.text("handle");
    }

    static JsonElement idOf(JsonObject line) {
        return line.has("id") ? line.get("id") : JsonNull.INSTANCE;
    }

    Refusal unknown() {
        return Refusal.badCommand("there is no op " + kind + "." + verb);
    }
}
