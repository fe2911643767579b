package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/postgres"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// texts returns the first column of a query, as text.
func texts(t *testing.T, uri, sql string) (out []string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
	rows, err := c.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	if out, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}

func apply(t *testing.T, s storage.Store, steps ...schema.Step) {
	t.Helper()
	if err := s.ApplySchema(t.Context(), steps); err != nil {
		t.Fatal(err)
	}
}

func object(t *testing.T, class, id, fields string) *parse.Object {
	t.Helper()
	m, err := parse.DecodeMap([]byte(fields), parse.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return &parse.Object{ClassName: class, ID: id, CreatedAt: 1000, UpdatedAt: 2000, Fields: *m}
}

// What is stored is what Parse Server stores (reference 02 §B1 to §B3).
func TestLayout(t *testing.T) {
	uri := place(t)
	db := open(t, uri)
	c := storagetest.NewClass("Game", schema.Index{Name: "byScore", Keys: []schema.IndexKey{{Field: "n"}, {Field: "s", Desc: true}}},
		schema.Index{Name: "t_1", Keys: []schema.IndexKey{{Field: "t"}}, Unique: true, Sparse: true})
	c.CLP = &schema.CLP{Ops: map[schema.Operation]*schema.Permission{schema.Find: {Public: true}}}
	c.Fields["n"] = &schema.Field{Name: "n", Type: schema.Number, Required: true, Default: 5.0, Comment: "points"}
	apply(t, db, schema.Step{Kind: schema.CreateClass, Class: "Game", Def: c},
		schema.Step{Kind: schema.CreateClass, Class: "_User", Def: schema.SystemClass("_User")},
		schema.Step{Kind: schema.CreateClass, Class: "_Role", Def: schema.SystemClass("_Role")})
	o := object(t, "Game", "g1", `{"s":"a","n":1.5,"b":true,"d":{"__type":"Date","iso":"2020-01-01T00:00:00.120Z"},"a":[1,{"__type":"Pointer","className":"X","objectId":"1"}],
		"o":{"k":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"}},"g":{"__type":"GeoPoint","latitude":10,"longitude":20},"f":{"__type":"File","name":"f.txt"},
		"y":{"__type":"Bytes","base64":"aGk="},"q":{"__type":"Polygon","coordinates":[[0,1],[0,2],[1,2],[0,1]]},"p":{"__type":"Pointer","className":"Other","objectId":"x"}}`)
	o.ACL = parse.NewACL(parse.ACLEntry{Subject: "u", Read: true, Write: true}, parse.ACLEntry{Subject: "*", Read: true})
	if err := db.Insert(t.Context(), c, []*parse.Object{o}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, sql string
		want      []string
	}{
		{"columns", `SELECT column_name || ' ' || data_type FROM information_schema.columns WHERE table_name = 'Game' AND table_schema = current_schema() ORDER BY column_name COLLATE "C"`, []string{
			"_rperm ARRAY", "_wperm ARRAY", "a jsonb", "b boolean", "createdAt timestamp with time zone", "d timestamp with time zone", "f text", "g point",
			"n double precision", "o jsonb", "objectId text", "p text", "q polygon", "s text", "t text", "updatedAt timestamp with time zone", "y jsonb",
		}},
		{"columns of users", `SELECT column_name || ' ' || data_type FROM information_schema.columns WHERE table_name = '_User' AND table_schema = current_schema() AND column_name LIKE '\_%' ORDER BY column_name COLLATE "C"`, []string{
			"_account_lockout_expires_at timestamp with time zone", "_email_verify_token text", "_email_verify_token_expires_at timestamp with time zone",
			"_failed_login_count double precision", "_hashed_password text", "_password_changed_at timestamp with time zone", "_password_history jsonb",
			"_perishable_token text", "_perishable_token_expires_at timestamp with time zone", "_rperm ARRAY", "_wperm ARRAY",
		}},
		{"columns of a relation", `SELECT column_name || ' ' || data_type FROM information_schema.columns WHERE table_name = '_Join:users:_Role' AND table_schema = current_schema() ORDER BY 1`, []string{
			"owningId character varying", "relatedId character varying",
		}},
		{"indexes", `SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema() AND tablename IN ('Game', '_User', '_Role') ORDER BY indexname COLLATE "C"`, []string{
			"Game_pkey", "Game_unique_t", "_Role_pkey", "_Role_unique_name", "_User_pkey", "_User_unique_authData_anonymous_id", "_User_unique_email", "_User_unique_username",
			"_email_verify_token", "_perishable_token", "byScore", "case_insensitive_email", "case_insensitive_username",
		}},
		{"indexes without case", `SELECT substr(indexdef, strpos(indexdef, '(')) FROM pg_indexes WHERE schemaname = current_schema() AND indexname = 'case_insensitive_email'`, []string{"(lower(email) varchar_pattern_ops)"}},
		{"row", `SELECT concat_ws('|', s, n, b, extract(epoch FROM d), a, o, g, f, y, q, p, _rperm, _wperm, extract(epoch FROM "createdAt")) FROM "Game"`, []string{
			`a|1.5|t|1577836800.120000|[1, {"__type": "Pointer", "objectId": "1", "className": "X"}]|{"k": {"iso": "2020-01-01T00:00:00.000Z", "__type": "Date"}}|(20,10)|f.txt|{"__type": "Bytes", "base64": "aGk="}|((1,0),(2,0),(2,1),(1,0))|x|{u,*}|{u}|1.000000`,
		}},
		{"definition", `SELECT (schema #- '{fields}')::text FROM "_SCHEMA" WHERE "className" = 'Game'`, []string{
			`{"indexes": {"t_1": {"t": 1}, "_id_": {"_id": 1}, "byScore": {"n": 1, "s": -1}}, "className": "Game", "classLevelPermissions": {"get": {}, "find": {"*": true}, "count": {}, "create": {}, "delete": {}, "update": {}, "addField": {}, "protectedFields": {}}}`,
		}},
		{"definition of fields", `SELECT (schema->'fields'->'n')::text || (schema->'fields'->'p')::text || (schema->'fields'->'r')::text || (schema->'fields'->'_rperm')::text FROM "_SCHEMA" WHERE "className" = 'Game'`, []string{
			`{"type": "Number", "required": true, "defaultValue": 5}{"type": "Pointer", "targetClass": "Other"}{"type": "Relation", "targetClass": "Other"}{"type": "Array", "contents": {"type": "String"}}`,
		}},
		{"definition of users", `SELECT string_agg(k, ' ' ORDER BY k COLLATE "C") FROM "_SCHEMA", jsonb_object_keys(schema->'fields') AS k WHERE "className" = '_User'`, []string{
			"_hashed_password _rperm _wperm authData createdAt email emailVerified objectId updatedAt username",
		}},
	} {
		if diff := cmp.Diff(tt.want, texts(t, uri, tt.sql)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// A database that Parse Server made is served as it is.
func TestDatabaseOfParseServer(t *testing.T) {
	uri := place(t)
	for _, sql := range []string{
		`CREATE TABLE "_SCHEMA" ("className" varchar(120), "schema" jsonb, "isParseClass" bool, PRIMARY KEY ("className"))`,
		`INSERT INTO "_SCHEMA" VALUES ('Game', '{"className":"Game","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"n":{"type":"Number"},"owner":{"type":"Pointer","targetClass":"_User"},"late":{"type":"String"},"_rperm":{"type":"Array","contents":{"type":"String"}},"_wperm":{"type":"Array","contents":{"type":"String"}}},"indexes":{"_id_":{"_id":1},"byN":{"n":1},"gone":{"n":-1}}}', true)`,
		`INSERT INTO "_SCHEMA" VALUES ('Empty', '{"className":"Empty","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"}}}', true)`,
		`CREATE TABLE "Game" ("objectId" text, "createdAt" timestamp with time zone, "updatedAt" timestamp with time zone, n double precision, owner text, "_rperm" text[], "_wperm" text[], PRIMARY KEY ("objectId"))`,
		`CREATE INDEX "byN" ON "Game" (n)`,
		`CREATE INDEX "made" ON "Game" (owner, n DESC)`,
		`INSERT INTO "Game" VALUES ('a', '2020-01-01T00:00:00.5Z', '2020-01-01T00:00:01Z', 1, 'u1', '{*}', '{}'), ('b', '2020-01-02T00:00:00Z', '2020-01-02T00:00:00Z', NULL, NULL, NULL, NULL)`,
		`CREATE TABLE "_Hooks" ("functionName" text, "className" text, "triggerName" text, url text)`,
		`INSERT INTO "_Hooks" VALUES ('f', NULL, NULL, 'http://x')`,
		`CREATE TABLE "_GlobalConfig" ("objectId" text, params jsonb, "masterKeyOnly" jsonb, PRIMARY KEY ("objectId"))`,
		`INSERT INTO "_GlobalConfig" VALUES ('1', '{"a":1}', NULL)`,
	} {
		run(t, uri, sql)
	}
	db := open(t, uri)
	game := storagetest.ClassOf(t, db, "Game")
	var names []string
	for _, ix := range game.Indexes {
		names = append(names, ix.Name)
	}
	if diff := cmp.Diff([]string{"byN", "made"}, names); diff != "" {
		t.Errorf("indexes (-want +got):\n%s", diff)
	}
	all := func(c *schema.Class) (out []string) {
		t.Helper()
		list, err := db.Find(t.Context(), &storage.Find{Class: c, Limit: query.NoLimit})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			out = append(out, string(o.AppendJSON(nil)))
		}
		return out
	}
	// The column of "late" is not there yet.
	want := []string{
		`{"objectId":"a","n":1,"owner":{"__type":"Pointer","className":"_User","objectId":"u1"},"createdAt":"2020-01-01T00:00:00.500Z","updatedAt":"2020-01-01T00:00:01.000Z","ACL":{"*":{"read":true}}}`,
		`{"objectId":"b","createdAt":"2020-01-02T00:00:00.000Z","updatedAt":"2020-01-02T00:00:00.000Z"}`,
	}
	if diff := cmp.Diff(want, all(game)); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if got := all(storagetest.ClassOf(t, db, "Empty")); len(got) != 0 { // there is no table
		t.Errorf("a class without a table has %v", got)
	}
	hook := all(storagetest.ClassOf(t, db, "_Hooks"))
	if len(hook) != 1 || !strings.Contains(hook[0], `"functionName":"f"`) || !strings.HasPrefix(hook[0], `{"objectId":"`) {
		t.Errorf("hooks are %v", hook)
	}
	config := storagetest.ClassOf(t, db, "_GlobalConfig")
	_, after, err := db.Update(t.Context(), &storage.Update{
		Class: config, Where: query.ByID("1"), UpdatedAt: 5,
		Ops: parse.NewMap(parse.MapField{Key: "params", Value: parse.NewMap(parse.MapField{Key: "a", Value: 2.0})}),
	})
	if err != nil || string(after.AppendFields(nil)) != `{"params":{"a":2}}` {
		t.Errorf("config: %v, %v", after, err)
	}
}

// What columns cannot hold is refused by name, and asked for in vain.
func TestUnstorable(t *testing.T) {
	db := open(t, place(t))
	c := storagetest.NewClass("Game")
	apply(t, db, schema.Step{Kind: schema.CreateClass, Class: "Game", Def: c})
	far := parse.Date(9_300_000_000_000_000)
	for name, v := range map[string]parse.Value{
		"s": "a\x00b", "a": parse.Array{"\x00"}, "o": parse.NewMap(parse.MapField{Key: "\x00", Value: 1.0}),
		"p": parse.Pointer{ClassName: "Other", ObjectID: "\x00"}, "f": parse.File{Name: "\x00"}, "d": far,
	} {
		o := object(t, "Game", "x", `{}`)
		o.Set(name, v)
		err := db.Insert(t.Context(), c, []*parse.Object{o})
		var pe *parse.Error
		if !errors.As(err, &pe) || pe.Code != parse.InvalidJSON || !strings.HasPrefix(pe.Message, name+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := object(t, "Game", "x", `{"o":{"k":"\\u0000"},"s":"\\u0000"}`) // is no such character
	if err := db.Insert(t.Context(), c, []*parse.Object{o}); err != nil {
		t.Error(err)
	}
	for _, n := range []query.Node{
		query.Equal("s", "\x00"), query.Equal("a", "\x00"), query.Equal("p", parse.Pointer{ClassName: "Other", ObjectID: "\x00"}), query.Equal("d", far),
		&query.Compare{Path: "d", Op: query.Gt, Value: far}, &query.Member{Path: "s", Op: query.In, Values: []parse.Value{"\x00"}},
		&query.Regex{Path: "s", Pattern: "^\x00"}, query.ByID("\x00"), query.Equal("o.k", "\x00"),
	} {
		if n, err := db.Count(t.Context(), c, n, nil); n != 0 || err != nil {
			t.Errorf("found %d: %v", n, err)
		}
	}
	if n, err := db.Count(t.Context(), c, &query.Compare{Path: "s", Op: query.Gt, Value: "\x00"}, nil); n != 1 || err != nil {
		t.Errorf("behind NUL: %d, %v", n, err)
	}
}

// Of two users who want names that differ by case alone, at the same moment
// and on different servers, one gets it.
func TestNamesWithoutCase(t *testing.T) {
	uri := place(t)
	servers := []*postgres.DB{open(t, uri), open(t, uri)}
	c := schema.SystemClass(schema.UserClass)
	apply(t, servers[0], schema.Step{Kind: schema.CreateClass, Class: c.Name, Def: c})
	const names, each = 5, 6
	var stored [names]atomic.Int32
	var wg sync.WaitGroup
	for n := range names {
		for i := range each {
			wg.Go(func() {
				name := []byte(fmt.Sprintf("anna%d", n))
				name[i%4] -= 'a' - 'A'
				err := servers[i%2].Insert(t.Context(), c, []*parse.Object{object(t, c.Name, fmt.Sprintf("u%d-%d", n, i), `{"username":"`+string(name)+`"}`)})
				var dup *storage.DuplicateError
				switch {
				case err == nil:
					stored[n].Add(1)
				case !errors.As(err, &dup) || !strings.Contains(dup.Index, "username"):
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for n := range names {
		if got := stored[n].Load(); got != 1 {
			t.Errorf("name %d was given %d times", n, got)
		}
	}
}

// A connection string that cannot be followed is refused, without its password.
func TestURI(t *testing.T) {
	for uri, want := range map[string]string{
		"postgres://u:secret@h/db?poolSize=0":     "parameter poolSize must be a number from 1 to 10000",
		"postgres://u:secret@h/db?max=many":       "parameter max must be a number",
		"postgres://u:secret@h/db?pfx=x.pfx":      "parameter pfx is not served",
		"postgres://u:secret@h/db?ca=/none.pem":   "ca: open /none.pem",
		"postgres://u:secret@h:port/db":           "it is malformed",
		"postgres://u:secret@h/db?sslmode=nosuch": "sslmode is invalid",
	} {
		_, err := postgres.Open(t.Context(), postgres.Options{URI: uri})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", uri, err)
		}
	}
	base := place(t)
	db := open(t, base+"&poolSize=3&ssl=false&binary=true&query_timeout=1000&idleTimeoutMillis=1000&keepAlive=true")
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// A search that has found enough among many rows ends, and its connection
// stays of use.
func TestEnough(t *testing.T) {
	db := open(t, place(t)+"&max=1")
	c := storagetest.NewClass("Many")
	apply(t, db, schema.Step{Kind: schema.CreateClass, Class: "Many", Def: c})
	list := make([]*parse.Object, 20_000)
	for i := range list {
		list[i] = object(t, "Many", fmt.Sprintf("o%d", i), `{"s":"xay"}`)
	}
	for _, err := range db.InsertEach(t.Context(), c, list) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		found, err := db.Find(t.Context(), &storage.Find{Class: c, Where: &query.Regex{Path: "s", Pattern: "a.$"}, Limit: 5, Skip: 1500})
		if err != nil || len(found) != 5 {
			t.Fatalf("%d found: %v", len(found), err)
		}
	}
}
