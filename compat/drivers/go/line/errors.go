package line

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr" // for the names of Kafka's errors
)

// Error is an error as the protocol tells it.
type Error struct {
	Code      string `json:"code"`
	Number    *int   `json:"number,omitempty"`
	Message   string `json:"message"`
	Retriable bool   `json:"retriable"`
	Fatal     bool   `json:"fatal"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Failed is the shape of one failure among several results.
type Failed struct {
	Error *Error `json:"error"`
}

// Done is the empty result.
type Done struct{}

// BadCommand is for a command that is malformed.
func BadCommand(format string, arguments ...any) *Error {
	return &Error{Code: "BAD_COMMAND", Message: fmt.Sprintf(format, arguments...)}
}

// Unsupported is for what this client cannot do, or not in this combination.
func Unsupported(format string, arguments ...any) *Error {
	return &Error{Code: "UNSUPPORTED", Message: fmt.Sprintf(format, arguments...)}
}

// Broker is an error that a broker answered, by Kafka's name and number.
func Broker(name string, number int, message string, retriable bool) *Error {
	if name == "NOT_LEADER_FOR_PARTITION" {
		name = "NOT_LEADER_OR_FOLLOWER" // as Kafka has called it since 2.6
	}
	fatal := false
	switch name {
	case "FENCED_INSTANCE_ID", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH":
		fatal = true
	}
	return &Error{Code: name, Number: &number, Message: message, Retriable: retriable, Fatal: fatal}
}

// Numbered is an error that a broker answered, by Kafka's number alone.
func Numbered(number int16, message string) *Error {
	known := kerr.TypedErrorForCode(number)
	if known == nil {
		return &Error{Code: "CLIENT", Message: message}
	}
	return Broker(known.Message, int(number), message, known.Retriable)
}

// Explain names an error that no client has a type of its own for.
func Explain(err error) *Error {
	if told, ok := errors.AsType[*Error](err); ok {
		return told
	}
	known := &Error{Code: "CLIENT", Message: err.Error()}
	network, isNetwork := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		isNetwork && network.Timeout():
		known.Code, known.Retriable = "TIMEOUT", true
	case isNetwork, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNREFUSED),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		known.Code, known.Retriable = "DISCONNECTED", true
	}
	return known
}
