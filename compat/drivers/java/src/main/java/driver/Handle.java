package driver;

import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;

/** An opened client with a thread of its own, which does its commands in the order they came. */
abstract class Handle {
    protected final Answers answers;
    protected final LinkedBlockingQueue<Command> commands = new LinkedBlockingQueue<>();
    private final Command opening;
    private final Runnable forget;
    private boolean hasEnded;

    /** {@code forget} takes the handle's name off the list. */
    protected Handle(Command opening, Answers answers, Runnable forget) {
        this.opening = opening;
        this.answers = answers;
        this.forget = forget;
    }

    final void start() {
        Thread thread = new Thread(this::run, opening.handle);
        thread.setDaemon(true);
        thread.start();
    }

    /** Throws Refusal when the handle has ended. */
    void submit(Command command) {
        synchronized (commands) {
            if (hasEnded) {
                throw Refusal.badCommand(command.handle + " is closed");
            }
            commands.add(command);
        }
    }

    private void run() {
        try {
            open(opening.fields);
        } catch (Exception error) {
            end();
            answers.error(opening.id, ErrorReport.ofClient(error));
            return;
        }
        answers.result(opening, new JsonObject());
        try {
            work();
        } catch (InterruptedException error) {
            end();
        }
    }

    /** Makes the client; nothing of it talks to a broker. */
    protected abstract void open(Fields fields);

    /** Until the handle is closed. */
    protected void work() throws InterruptedException {
        boolean isOpen = true;
        while (isOpen) {
            Command command = commands.take();
            isOpen = !command.verb.equals("close");
            answer(command);
        }
    }

    protected final void answer(Command command) {
        try {
            JsonObject result = perform(command);
            if (command.verb.equals("close")) {
                end();
            }
            answers.result(command, result);
        } catch (Exception error) {
            if (command.verb.equals("close")) {
                end();
            }
            answers.error(command.id, ErrorReport.of(error));
        }
    }

    protected abstract JsonObject perform(Command command) throws Exception;

    /** From here on the name is free; what waits was sent to a closed handle. */
    private void end() {
        List<Command> left = new ArrayList<>();
        synchronized (commands) {
            hasEnded = true;
            commands.drainTo(left);
        }
        forget.run();
        for (Command each : left) {
            Refusal refusal = Refusal.badCommand(each.handle + " is closed");
            answers.error(each.id, ErrorReport.of(refusal));
        }
    }
}
