package cloudcode

import "github.com/pargo-baas/pargo/parse"

// EmailVerificationRequest is what functions see that decide about the
// verification of an address: whether it is asked for, whether one can log in
// without, and whether a mail is sent.
type EmailVerificationRequest struct {
	Caller Caller
	// Object is the user as he will be stored, or is.
	Object *parse.Object
	// Original is the user as he was; nil for a new one and at a login.
	Original *parse.Object
	// CreatedWith says, at a sign-up and at a login, how the session would come
	// to be: {"action":"signup","authProvider":"password"}; nil otherwise.
	CreatedWith *parse.Map
	// Resend: the user has asked for another mail.
	Resend bool
}
