package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

// sharedDatabase returns a database that several servers can use.
func sharedDatabase(t *testing.T) string {
	t.Helper()
	for _, db := range scenario.Databases() {
		if db.Name == "mongodb" {
			return db.URI(t)
		}
	}
	t.Fatal("no shared database is known")
	return ""
}

// eventually repeats a request until its answer has a text.
func eventually(t *testing.T, s *scenario.Server, st *scenario.Step, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got := s.Ask(t, st)
		if strings.Contains(got, text) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s %s: %s, want %s", st.Method, st.Path, got, text)
		}
	}
}

// TestStartTogether: servers that start at once on one new database, with the
// same schema file and with different ones.
func TestStartTogether(t *testing.T) {
	same := func(int) string {
		return `{"classes":[
			{"className":"Game","fields":{"code":{"type":"String"},"score":{"type":"Number","defaultValue":1},"fans":{"type":"Relation","targetClass":"User"}},
			 "indexes":{"byCode":{"code":1},"byScore":{"score":-1}},"indexOptions":{"byCode":{"unique":true}},"classLevelPermissions":{"find":{"*":true},"create":{"*":true}}},
			{"className":"User","fields":{"nick":{"type":"String"}}}]}`
	}
	different := func(i int) string {
		return fmt.Sprintf(`{"classes":[
			{"className":"Own%[1]d","fields":{"n":{"type":"Number"}},"indexes":{"u":{"n":1}},"indexOptions":{"u":{"unique":true}}},
			{"className":"Game","fields":{"f%[1]d":{"type":"Number"},"code":{"type":"String"}},"indexes":{"byCode":{"code":1},"i%[1]d":{"f%[1]d":1}},"indexOptions":{"byCode":{"unique":true}}}]}`, i)
	}
	defined := func(i int) string {
		return fmt.Sprintf(`{"keepUnknownIndexes":true,"definitions":[
			{"className":"Game","fields":{"code":{"type":"String"},"f%[1]d":{"type":"Number"}},"indexes":{"byCode":{"code":1}},"classLevelPermissions":{"find":{"*":true},"create":{"*":true}}}]}`, i)
	}
	for name, file := range map[string]func(int) string{"same": same, "different": different, "defined": defined} {
		t.Run(name, func(t *testing.T) {
			const nodes = 5
			uri := sharedDatabase(t)
			var (
				wg        sync.WaitGroup
				servers   [nodes]*scenario.Server
				errs      [nodes]error
				migrating atomic.Int32
			)
			alone := server.WithMigrations(server.Migrations{
				Before: func(context.Context, cloudcode.Client) error {
					if migrating.Add(1) != 1 {
						t.Error("two servers migrate at once")
					}
					return nil
				},
				After: func(context.Context, cloudcode.Client) error { migrating.Add(-1); return nil },
			})
			for i := range nodes {
				wg.Go(func() {
					servers[i], errs[i] = scenario.TryStart(t, uri, func(c *config.Config) { open(c); c.Schema = json.RawMessage(file(i)) }, alone)
				})
			}
			wg.Wait()
			if err := errors.Join(errs[:]...); err != nil {
				t.Fatal(err)
			}
			// All of them come to see all of it.
			for _, s := range servers {
				game := &scenario.Step{Path: "/schemas/Game", As: "master"}
				if name == "same" {
					s.Do(t, &scenario.Step{Path: "/schemas/Game", As: "master", JSON: `{"className":"Game","fields":{` + baseFields +
						`,"code":{"type":"String"},"score":{"type":"Number","defaultValue":1},"fans":{"type":"Relation","targetClass":"_User"}},` +
						`"indexes":{"_id_":"*","byCode":{"code":1},"byScore":{"score":-1}},"indexOptions":{"byCode":{"unique":true}},"...":0}`})
					continue
				}
				for k := range nodes {
					eventually(t, s, game, fmt.Sprintf(`"f%d":{"type":"Number"}`, k))
					if name == "different" {
						eventually(t, s, game, fmt.Sprintf(`"i%d":{"f%d":1}`, k, k))
						eventually(t, s, &scenario.Step{Path: fmt.Sprintf("/schemas/Own%d", k), As: "master"}, `"u":{"n":1}`)
					}
				}
			}
			servers[0].Do(t, &scenario.Step{Name: "sign-up", Method: "POST", Path: "/users", Body: `{"username":"a","password":"x"}`, Status: 201})
			servers[1].Do(t, &scenario.Step{Name: "unique on another node", Method: "POST", Path: "/users", Body: `{"username":"a","password":"x"}`, Code: parse.UsernameTaken})
			servers[2].Do(t, &scenario.Step{Name: "one", Method: "POST", Path: "/classes/Game", Body: `{"code":"c"}`, Status: 201})
			if name != "defined" {
				servers[3].Do(t, &scenario.Step{Name: "another of the code", Method: "POST", Path: "/classes/Game", Body: `{"code":"c"}`, Code: parse.DuplicateValue})
			}
		})
	}
}

// TestOtherNode: a server sees, without a restart, what another does to the
// schema, and before it has seen it no write does any harm.
func TestOtherNode(t *testing.T) {
	uri := sharedDatabase(t)
	a, b := scenario.Start(t, uri, detailed, nil), scenario.Start(t, uri, detailed, nil)

	a.Do(t, &scenario.Step{Method: "POST", Path: "/schemas/Shut", As: "master", Body: `{"fields":{"s":{"type":"String"}},"classLevelPermissions":{"get":{"*":true}}}`})
	b.Do(t, &scenario.Step{Name: "the other's permissions hold", Method: "POST", Path: "/classes/Shut", Body: `{"s":"x"}`, Code: parse.OperationForbidden, Error: "Permission denied for action create on class Shut."})
	b.Do(t, &scenario.Step{Name: "in a transaction, too", Method: "POST", Path: "/batch", Body: inTx("POST", "/classes/Shut", `{"s":"x"}`), Code: parse.OperationForbidden})
	a.Do(t, &scenario.Step{Method: "POST", Path: "/schemas/Told", As: "master", Body: `{}`})
	b.Do(t, &scenario.Step{Name: "a dashboard sees it at once", Path: "/schemas/Told", As: "master", JSON: `{"className":"Told","...":0}`})
	a.Do(t, &scenario.Step{Method: "POST", Path: "/classes/Told", Body: `{}`, Status: 201})
	eventually(t, b, &scenario.Step{Path: "/classes/Told"}, `"objectId"`)

	a.Do(t, &scenario.Step{Method: "POST", Path: "/classes/Open", Body: `{"first":"text"}`, Status: 201})
	b.Do(t, &scenario.Step{Name: "a class that the other made", Method: "POST", Path: "/classes/Open", Body: `{"second":1}`, Status: 201})
	a.Do(t, &scenario.Step{Name: "a field that the other made", Method: "POST", Path: "/classes/Open", Body: `{"second":2}`, Status: 201})
	a.Do(t, &scenario.Step{Name: "another field", Method: "POST", Path: "/classes/Open", Body: `{"third":1}`, Status: 201})
	b.Do(t, &scenario.Step{Name: "of another type", Method: "POST", Path: "/classes/Open", Body: `{"third":"text"}`, Code: parse.IncorrectType, Error: "schema mismatch for Open.third; expected Number but got String"})
	for _, s := range []*scenario.Server{a, b} {
		eventually(t, s, &scenario.Step{Path: "/schemas/Open", As: "master"}, `"first":{"type":"String"},"second":{"type":"Number"},"third":{"type":"Number"}`)
	}

	a.Do(t, &scenario.Step{Method: "PUT", Path: "/schemas/Open", As: "master", Body: `{"classLevelPermissions":{"get":{"*":true}}}`})
	eventually(t, b, &scenario.Step{Path: "/classes/Open"}, `"code":119`)
	a.Do(t, &scenario.Step{Method: "DELETE", Path: "/purge/Open", As: "master"})
	a.Do(t, &scenario.Step{Method: "DELETE", Path: "/schemas/Open", As: "master"})
	eventually(t, b, &scenario.Step{Path: "/schemas/Open", As: "master"}, `does not exist`)
}

// TestForeignNode: changes that Parse Server makes, which announces nothing.
func TestForeignNode(t *testing.T) {
	for name, opts := range map[string]string{"schemaCacheTtl": `{"schemaCacheTtl":200}`, "enableSchemaHooks": `{"enableSchemaHooks":true}`} {
		t.Run(name, func(t *testing.T) {
			uri := sharedDatabase(t)
			s := scenario.Start(t, uri, func(c *config.Config) { open(c); c.DatabaseOptions = json.RawMessage(opts) }, nil)
			client, err := mongo.Connect(options.Client().ApplyURI(uri))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) })
			db := client.Database(uri[strings.LastIndexByte(uri, '/')+1:])
			if _, err := db.Collection("_SCHEMA").InsertOne(t.Context(), bson.D{
				{Key: "_id", Value: "Theirs"}, {Key: "objectId", Value: "string"}, {Key: "updatedAt", Value: "date"}, {Key: "createdAt", Value: "date"}, {Key: "n", Value: "number"},
			}); err != nil {
				t.Fatal(err)
			}
			eventually(t, s, &scenario.Step{Path: "/schemas/Theirs", As: "master"}, `"n":{"type":"Number"}`)
			s.Do(t, &scenario.Step{Name: "a write", Method: "POST", Path: "/classes/Theirs", Body: `{"n":1}`, Status: 201})
		})
	}
}

// TestMigrations: code around the change of the schema moves data along.
func TestMigrations(t *testing.T) {
	const (
		before = `{"classes":[{"className":"A","fields":{"old":{"type":"String"}}}]}`
		after  = `{"deleteExtraFields":true,"classes":[{"className":"A","fields":{"new":{"type":"Array"}}}]}`
	)
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		uri := db.URI(t)
		s := scenario.Start(t, uri, func(c *config.Config) { c.Schema = json.RawMessage(before) }, nil)
		s.Do(t, &scenario.Step{Method: "POST", Path: "/classes/A", Body: `{"old":"x"}`, Status: 201})
		s.Stop()

		var order []string
		step := func(name string) func(context.Context, cloudcode.Client) error {
			return func(context.Context, cloudcode.Client) error { order = append(order, name); return nil }
		}
		s, err := scenario.TryStart(t, uri, func(c *config.Config) { c.Schema = json.RawMessage(after) },
			server.WithCloud(func(app *cloudcode.App) {
				app.BeforeSave("A", func(context.Context, *cloudcode.SaveRequest) error {
					t.Error("a hook ran before the cloud code begins")
					return nil
				})
			}),
			server.WithMigrations(server.Migrations{Before: func(ctx context.Context, c cloudcode.Client) error {
				order = append(order, "first before")
				list, err := c.Find(ctx, "A", query.Query{Limit: query.NoLimit})
				if err != nil {
					return err
				}
				for _, o := range list {
					v, _ := o.Get("old")
					if _, err := c.Update(ctx, "A", o.ID, parse.NewMap(parse.MapField{Key: "new", Value: parse.Array{v}})); err != nil {
						return err
					}
				}
				_, err = c.Create(ctx, "_User", parse.NewMap(parse.MapField{Key: "username", Value: "u"}, parse.MapField{Key: "password", Value: "secret"}))
				return err
			}, After: step("first after")}),
			server.WithMigrations(server.Migrations{Before: step("second before")}),
			server.WithMigrations(server.Migrations{After: step("third after")}))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(order, ", "); got != "first before, second before, first after, third after" {
			t.Errorf("ran: %s", got)
		}
		s.Do(t, &scenario.Step{Path: "/classes/A", As: "master", JSON: `{"results":[{"objectId":"*","createdAt":"*","updatedAt":"*","new":["x"]}]}`})
		s.Do(t, &scenario.Step{Name: "passwords are hashed", Method: "POST", Path: "/login", Body: `{"username":"u","password":"secret"}`, JSON: `{"username":"u","...":0}`})
		s.Stop()

		var tries atomic.Int32
		broken := errors.New("no more room")
		_, err = scenario.TryStart(t, uri, nil, server.WithMigrations(server.Migrations{After: func(context.Context, cloudcode.Client) error {
			tries.Add(1)
			return broken
		}}))
		if !errors.Is(err, broken) || tries.Load() != 1 {
			t.Errorf("after %d tries: %v", tries.Load(), err)
		}
	})
}
