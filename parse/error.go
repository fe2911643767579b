package parse

import (
	"errors"
	"fmt"
	"time"
)

// Code is a Parse error code (reference 01 §3.4).
type Code int

// Error codes that the server raises.
const (
	OtherCause                  Code = -1
	InternalServerError         Code = 1
	ConnectionFailed            Code = 100
	ObjectNotFound              Code = 101
	InvalidQuery                Code = 102
	InvalidClassName            Code = 103
	MissingObjectID             Code = 104
	InvalidKeyName              Code = 105
	InvalidPointer              Code = 106
	InvalidJSON                 Code = 107
	CommandUnavailable          Code = 108
	IncorrectType               Code = 111
	ObjectTooLarge              Code = 116
	OperationForbidden          Code = 119
	InvalidNestedKey            Code = 121
	InvalidACL                  Code = 123
	Timeout                     Code = 124
	InvalidEmailAddress         Code = 125
	FileSaveError               Code = 130
	MissingInstallationID       Code = 132
	MissingRequiredField        Code = 135
	ChangedImmutableField       Code = 136
	DuplicateValue              Code = 137
	ScriptFailed                Code = 141
	ValidationError             Code = 142
	RequestLimitExceeded        Code = 155
	DuplicateRequest            Code = 159
	InvalidEventName            Code = 160
	InvalidValue                Code = 162
	UsernameMissing             Code = 200
	PasswordMissing             Code = 201
	UsernameTaken               Code = 202
	EmailTaken                  Code = 203
	EmailMissing                Code = 204
	EmailNotFound               Code = 205
	SessionMissing              Code = 206
	MustCreateUserThroughSignup Code = 207
	AccountAlreadyLinked        Code = 208
	InvalidSessionToken         Code = 209
	LinkedIDMissing             Code = 250
	InvalidLinkedSession        Code = 251
	UnsupportedService          Code = 252
	InvalidSchemaOperation      Code = 255
)

// Error is the only kind of error that a client sees. Any other error becomes
// code 1 at the edge, its text in the log alone.
type Error struct {
	Code    Code
	Message string
	// Denied marks a refusal by permissions: with enableSanitizedErrorResponse
	// (the default) clients read "Permission denied" instead of Message.
	Denied bool
	// Status is the HTTP status where it differs from the one that follows from Code; 0 otherwise.
	Status int
	// RetryAfter is when to try again: the header Retry-After; 0: it says nothing of that.
	RetryAfter time.Duration
	// Err is the cause, for the log only.
	Err error
}

// Errorf returns an error with a code and a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Denyf is Errorf for refusals by permissions, see [Error.Denied].
func Denyf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Denied: true}
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("parse error %d: %s", e.Code, e.Message) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the first *Error in err's chain, or 0.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// ErrNotFound returns the error for an object that is missing or that the caller may not see.
func ErrNotFound() *Error { return Errorf(ObjectNotFound, "Object not found.") }
