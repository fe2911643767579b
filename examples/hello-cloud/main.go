// Command hello-cloud is a pargo server with cloud code of its own:
//
//	go run ./examples/hello-cloud --port 1337
package main

import (
	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/command"
)

func main() { command.Main(server.WithCloud(register)) }

// register adds the hooks, functions and jobs of the application.
func register(app *cloudcode.App) {
	cloudcode.BeforeSave(app, checkReview, cloudcode.Validator{RequireUser: true})
	cloudcode.AfterEvent(app, tellReview)
	cloudcode.Func(app, "hello", hello)
	cloudcode.Func(app, "averageStars", averageStars)
	cloudcode.Func(app, "importReviews", importReviews, cloudcode.Validator{RequireUser: true})
	app.Job("removeDrafts", removeDrafts)
}
