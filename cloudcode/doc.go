// Package cloudcode is where the owner of an application adds behaviour in Go:
// hooks around saves, deletes, finds and logins, and functions that clients
// call by name.
//
//	app := cloudcode.New()
//	app.BeforeSave("Review", func(ctx context.Context, r *cloudcode.SaveRequest) error {
//		if stars, _ := r.Object.Number("stars"); stars < 1 || stars > 5 {
//			return cloudcode.Err(parse.ValidationError, "stars must be between 1 and 5")
//		}
//		return nil
//	})
//
// # Order
//
// Several hooks on one class run in the order of their registration. The
// first error of a before-hook ends the chain and refuses the request. All
// after-hooks run, even if one of them fails; their errors are joined.
//
// # Errors
//
// A *parse.Error (see [Err]) reaches the client as it is, also if it is
// wrapped. Any other error becomes code 141 with its text, since a hook writes
// its errors for clients. A panic is recovered and becomes code 141 with a
// text that tells nothing; what was thrown and the stack are in the Err field
// ([PanicError]) for the log.
//
// # Registration
//
// Register before the server starts. It is nevertheless safe at any time and
// from any goroutine: tables are copied on write, and a request that already
// runs keeps those that it began with. Nothing can be unregistered.
package cloudcode
