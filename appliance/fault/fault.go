package fault

import (
	"errors"
	"fmt"
)

// Class says what kind of failure a fault is. Programs branch on it; the HTTP
// status and the exit code follow from it. Classes cross the wire as text, so
// they are only ever added, never renamed.
type Class string

// The classes, with the HTTP status each one answers with.
const (
	Invalid         Class = "invalid"         // 400: what was sent cannot be used as it is
	Unauthenticated Class = "unauthenticated" // 401: nobody is signed in
	Denied          Class = "denied"          // 403: signed in, but not allowed, or a wrong secret
	NotFound        Class = "not-found"       // 404
	Conflict        Class = "conflict"        // 409: it contradicts what is already there
	Gone            Class = "gone"            // 410: it was valid once (an expired invitation)
	TooLarge        Class = "too-large"       // 413
	Unsupported     Class = "unsupported"     // 415: a format or encoding this node does not read
	Locked          Class = "locked"          // 423: the box must be opened first
	Busy            Class = "busy"            // 429: try again in a moment
	Internal        Class = "internal"        // 500: a fault of ours
	ReadOnly        Class = "read-only"       // 503: the node can read but no longer write
	Unavailable     Class = "unavailable"     // 503: a part of the node or a peer cannot be reached
	Full            Class = "full"            // 507: no room left on the disk
)

// statuses maps each class to its HTTP status (RFC 9110, RFC 4918 for 423 and 507).
var statuses = map[Class]int{
	Invalid: 400, Unauthenticated: 401, Denied: 403, NotFound: 404, Conflict: 409, Gone: 410,
	TooLarge: 413, Unsupported: 415, Locked: 423, Busy: 429, Internal: 500, ReadOnly: 503,
	Unavailable: 503, Full: 507,
}

// Status is the HTTP status a class answers with; 500 for an unknown class.
func (c Class) Status() int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return 500
}

// Field is one thing wrong with one named field of what was sent.
type Field struct {
	Name string         // the field's name in the contract, such as "birth_date" or "members.2.sex"
	Key  string         // message key of the sentence shown beside the field
	Args map[string]any // values the sentence names
}

// Error is a fault: a class for the program, a message key with arguments for
// the person, and the cause for the log. Key names a sentence in ui/locale;
// Key+".hint" names the sentence saying what to do now. Args never hold a
// person's name, a token or a passphrase.
type Error struct {
	Class  Class
	Key    string
	Args   map[string]any
	Fields []Field
	Err    error
}

// New makes a fault. args alternate names and values: New(Gone, "fault.identity.expired", "Minutes", 10).
func New(class Class, key string, args ...any) *Error {
	e := &Error{Class: class, Key: key}
	if len(args) > 0 {
		e.Args = make(map[string]any, len(args)/2)
		for i := 0; i+1 < len(args); i += 2 {
			e.Args[fmt.Sprint(args[i])] = args[i+1]
		}
	}
	return e
}

// Wrap returns a copy of e that carries cause, reachable by errors.Is and errors.As.
func (e *Error) Wrap(cause error) *Error {
	c := *e
	c.Err = cause
	return &c
}

// With returns a copy of e that also names what is wrong with one field.
func (e *Error) With(name, key string, args ...any) *Error {
	c := *e
	f := Field{Name: name, Key: key, Args: New(e.Class, "", args...).Args}
	c.Fields = append(append([]Field(nil), e.Fields...), f)
	return &c
}

// Error is for logs: class, key and cause. It is never shown to a person.
func (e *Error) Error() string {
	s := string(e.Class) + " " + e.Key
	for _, f := range e.Fields {
		s += " " + f.Name + "=" + f.Key
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is a fault with the same key, so that
// errors.Is(err, fault.New(c, key)) works whatever the arguments are.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Key == e.Key && t.Class == e.Class
}

// Of returns err as a fault. An error that is none becomes an Internal fault
// with the key "fault.internal" and err as its cause; nil stays nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var f *Error
	if errors.As(err, &f) {
		return f
	}
	return New(Internal, "fault.internal").Wrap(err)
}

// ClassOf is the class of err; empty for nil.
func ClassOf(err error) Class {
	if err == nil {
		return ""
	}
	return Of(err).Class
}
