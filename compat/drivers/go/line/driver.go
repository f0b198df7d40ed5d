// Package line is the drivers' half of the line protocol (PROTOCOL.md): commands come in, one a
// line; each handle does its own in their order, and results go out as they are ready.
package line

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
)

// Operation does one command of an open handle; its result becomes JSON.
type Operation func(*Command) (any, error)

// Operations of a handle, by the second word of the op: "send", "take". Always has "close".
type Operations map[string]Operation

// Open makes what a handle names.
type Open func(*Command) (Operations, error)

// Driver is one client, as the hello tells of it.
type Driver struct {
	Client       string
	Module       string // the Go module whose version is told
	Partitioner  string // what the client's default partitions keys like
	Capabilities []string
	Kinds        map[string]Open // "producer", "consumer", "admin"
	Explain      func(error) *Error

	writing sync.Mutex
	out     *bufio.Writer
	handles map[string]*handle
	mu      sync.Mutex
}

// Command is one line of input.
type Command struct {
	ID     json.RawMessage `json:"id"`
	Op     string          `json:"op"`
	Handle string          `json:"handle"`
	raw    []byte
}

// Read decodes the command's fields into a struct.
func (c *Command) Read(into any) error {
	if err := json.Unmarshal(c.raw, into); err != nil {
		return BadCommand("%s: %v", c.Op, err)
	}
	return nil
}

// With is an operation on decoded fields.
func With[F any](work func(F) (any, error)) Operation {
	return func(c *Command) (any, error) {
		var fields F
		if err := c.Read(&fields); err != nil {
			return nil, err
		}
		return work(fields)
	}
}

// Without is an operation that has no fields of its own.
func Without(work func() (any, error)) Operation {
	return func(*Command) (any, error) { return work() }
}

type handle struct {
	kind     string
	commands chan *Command
}

// mostWaiting commands of one handle; the reader waits beyond that.
const mostWaiting = 1000

// Run answers commands until standard input ends, and then ends the process at once.
func (d *Driver) Run() {
	d.out = bufio.NewWriter(os.Stdout)
	d.handles = map[string]*handle{}
	d.write(map[string]any{"hello": map[string]any{
		"client": d.Client, "version": version(d.Module), "language": "go",
		"partitioner": d.Partitioner, "capabilities": d.Capabilities,
	}})
	in := bufio.NewReaderSize(os.Stdin, 1<<16)
	for {
		text, err := in.ReadBytes('\n')
		if len(strings.TrimSpace(string(text))) > 0 {
			d.dispatch(text)
		}
		if err != nil {
			os.Exit(0)
		}
	}
}

func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return strings.TrimPrefix(dependency.Version, "v")
			}
		}
	}
	return "unknown"
}

func (d *Driver) dispatch(text []byte) {
	command := &Command{raw: text}
	if err := json.Unmarshal(text, command); err != nil {
		d.fail(command, BadCommand("%v", err))
		return
	}
	kind, method, _ := strings.Cut(command.Op, ".")
	open, known := d.Kinds[kind]
	if !known || method == "" {
		d.fail(command, BadCommand("no op %q", command.Op))
		return
	}
	d.mu.Lock()
	at, exists := d.handles[command.Handle]
	switch {
	case method == "open" && exists:
		d.mu.Unlock()
		d.fail(command, BadCommand("handle %q is open", command.Handle))
	case method == "open":
		at = &handle{kind: kind, commands: make(chan *Command, mostWaiting)}
		d.handles[command.Handle] = at
		d.mu.Unlock()
		go d.serve(at, open, command)
	case !exists || at.kind != kind:
		d.mu.Unlock()
		d.fail(command, BadCommand("no %s %q is open", kind, command.Handle))
	default:
		d.mu.Unlock()
		at.commands <- command
	}
}

// serve does one handle's commands, from its open to its close.
func (d *Driver) serve(at *handle, open Open, opening *Command) {
	operations, err := open(opening)
	if err != nil {
		d.forget(opening.Handle, at)
		d.fail(opening, d.explain(err))
		return
	}
	d.answer(opening, Done{})
	for command := range at.commands {
		_, method, _ := strings.Cut(command.Op, ".")
		work, known := operations[method]
		if !known {
			d.fail(command, Unsupported("%s has no %s", d.Client, command.Op))
			continue
		}
		result, err := work(command)
		if method == "close" {
			d.forget(command.Handle, at)
		}
		if err != nil {
			d.fail(command, d.explain(err))
		} else {
			d.answer(command, result)
		}
		if method == "close" {
			return
		}
	}
}

// forget frees the handle's name; what was sent to it meanwhile is answered.
func (d *Driver) forget(name string, at *handle) {
	d.mu.Lock()
	delete(d.handles, name)
	d.mu.Unlock()
	for {
		select {
		case command := <-at.commands:
			d.fail(command, BadCommand("handle %q is closed", name))
		default:
			return
		}
	}
}

func (d *Driver) explain(err error) *Error {
	if told, ok := err.(*Error); ok {
		return told
	}
	return d.Explain(err)
}

func (d *Driver) answer(c *Command, result any) {
	d.write(map[string]any{"id": c.ID, "ok": true, "result": result})
}

func (d *Driver) fail(c *Command, err *Error) {
	d.write(map[string]any{"id": c.ID, "ok": false, "error": err})
}

func (d *Driver) write(message any) {
	text, err := json.Marshal(message)
	if err != nil {
		fmt.Fprintln(os.Stderr, "not JSON:", err)
		os.Exit(1)
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	d.out.Write(append(text, '\n'))
	if err := d.out.Flush(); err != nil {
		os.Exit(1) // nobody listens
	}
}

// Capabilities is the sorted list of what a client can do, with the admin operations it has.
func Capabilities(admin Operations, words ...string) []string {
	for name := range admin {
		if name != "close" {
			words = append(words, "admin."+name)
		}
	}
	slices.Sort(words)
	return words
}
