package objects_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

// Cloud code that hands on an error of the database tells a client nothing
// about the database; what it says itself is told.
func TestFailuresBehindCloudCode(t *testing.T) {
	errOwn := errors.New("the card has expired")
	tests := map[string]struct {
		fails error // of the database
		says  error // of cloud code
		want  parse.Code
		text  string
	}{
		"database": {fails: errBroken, want: parse.InternalServerError, text: "An internal server error occurred"},
		"time":     {fails: context.DeadlineExceeded, want: parse.ScriptFailed, text: "context deadline exceeded"},
		"client":   {fails: parse.Errorf(parse.InvalidQuery, "too large"), want: parse.InvalidQuery, text: "too large"},
		"own":      {says: errOwn, want: parse.ScriptFailed, text: "the card has expired"},
	}
	for name, tt := range tests {
		for _, within := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in a transaction %t", name, within), func(t *testing.T) {
				f := setup(t, objects.Options{}, true, gameClass())
				f.app.Function("play", func(ctx context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
					play := func(ctx context.Context, c cloudcode.Client) error {
						if _, err := c.Create(ctx, "Game", body(t, `{"name":"n"}`)); err != nil {
							return err
						}
						return tt.says
					}
					if within {
						return nil, r.Client.InTx(ctx, play)
					}
					return nil, play(ctx, r.Client)
				})
				f.mem.fail = func(string) error {
					if tt.fails == nil {
						return nil
					}
					return fmt.Errorf("insert at db.internal:27017: %w", tt.fails)
				}
				_, err := f.app.RunFunction(t.Context(), &cloudcode.FunctionRequest{Request: f.Request(t.Context(), user("u")), Name: "play"})
				var pe *parse.Error
				if !errors.As(err, &pe) || pe.Code != tt.want || pe.Message != tt.text {
					t.Errorf("%v", err)
				}
			})
		}
	}
}
