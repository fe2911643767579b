package server_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// Steps of scenarios about installations.

// device is a POST of an installation that makes an object, whose id is saved under a name.
func device(name, body string) scenario.Step {
	return scenario.Step{
		Name: "new " + name, Method: "POST", Path: "/installations", Body: body, Status: 201,
		JSON: `{"objectId":"*","createdAt":"*","...":0}`, Save: map[string]string{"objectId": name},
	}
}

// joins is a POST that changes an object that is there.
func joins(name, body string) scenario.Step {
	return scenario.Step{Name: name, Method: "POST", Path: "/installations", Body: body, Status: 200, JSON: `{"updatedAt":"*"}`}
}

func put(name, id, body string) scenario.Step {
	return scenario.Step{Name: name, Method: "PUT", Path: "/installations/{{" + id + "}}", Body: body, Status: 200, JSON: `{"updatedAt":"*"}`}
}

func (s saveOf) fails(code parse.Code, text string) scenario.Step {
	st := scenario.Step(s)
	st.Status, st.JSON, st.Save, st.Code, st.Error = 0, "", nil, code, text
	return st
}

// saveOf is a save that is expected to fail.
type saveOf scenario.Step

// devices is a look at all installations, oldest first: results is the
// expected list.
func devices(results string) scenario.Step {
	return scenario.Step{
		Name: "all installations", Path: "/installations", As: "master",
		Query: map[string]string{"order": "createdAt", "keys": "installationId,deviceToken,badge", "excludeKeys": "createdAt,updatedAt"},
		JSON:  `{"results":` + results + `}`,
	}
}

func installing(options string) func(*config.Config) {
	return func(c *config.Config) { c.Installation = json.RawMessage(options) }
}

const (
	missingIDs   = "at least one ID field (deviceToken, installationId) must be specified in this operation"
	missingType  = "deviceType must be specified in this operation"
	ambiguous    = "Must specify installationId when deviceToken matches multiple Installation objects"
	mayNotChange = " may not be changed in this operation"
)

func row(id, fields string) string {
	return `{"objectId":"{{` + id + `}}","createdAt":"*","updatedAt":"*"` + fields + `}`
}

func TestInstallations(t *testing.T) {
	const other = `"...":0`
	upper := strings.Repeat("AB", 32)
	post := func(body string) saveOf { return saveOf(joins(body, body)) }
	header := func(st scenario.Step, id string) scenario.Step {
		st.Header = map[string]string{"X-Parse-Installation-Id": id}
		return st
	}
	master := func(st scenario.Step) scenario.Step {
		st.As = "master"
		return st
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "rights", Steps: []scenario.Step{
			device("a", `{"deviceType":"ios","deviceToken":"t","installationId":"a"}`),
			{Name: "anybody reads one", Path: "/installations/{{a}}", JSON: `{"objectId":"{{a}}","deviceToken":"t",` + other + `}`},
			{Name: "nobody searches", Path: "/installations", Code: parse.OperationForbidden},
			{Name: "nor counts", Path: "/installations", Query: map[string]string{"count": "1", "limit": "0"}, Code: parse.OperationForbidden},
			{Name: "nor deletes", Method: "DELETE", Path: "/installations/{{a}}", Code: parse.OperationForbidden},
			{Name: "a location", Method: "POST", Path: "/classes/_Installation", Body: `{"deviceType":"ios","installationId":"x"}`, Status: 201},
			{Name: "but the master", Method: "DELETE", Path: "/installations/{{a}}", As: "master", JSON: `{}`},
		}},
		{Name: "the texts of refusals", Config: func(c *config.Config) { c.EnableSanitizedErrorResponse = false }, Steps: []scenario.Step{
			{Name: "find", Path: "/installations", Code: parse.OperationForbidden, Error: "Clients aren't allowed to perform the find operation on the installation collection."},
			{Name: "delete", Method: "DELETE", Path: "/installations/x", Code: parse.OperationForbidden, Error: "Clients aren't allowed to perform the delete operation on the installation collection."},
		}},
		{Name: "ids", Steps: []scenario.Step{
			post(`{"deviceType":"ios"}`).fails(parse.MissingRequiredField, missingIDs),
			saveOf(master(joins("the master, too", `{"deviceType":"ios"}`))).fails(parse.MissingRequiredField, missingIDs),
			post(`{"deviceToken":"t"}`).fails(parse.MissingRequiredField, missingType),
			post(`{"installationId":"i"}`).fails(parse.MissingRequiredField, missingType),
			post(`{"deviceType":"ios","deviceToken":{"$ne":"x"}}`).fails(parse.InvalidNestedKey, ""),
			post(`{"deviceType":"ios","installationId":{"$ne":"x"}}`).fails(parse.InvalidNestedKey, ""),
			post(`{"deviceType":1,"installationId":"i"}`).fails(parse.IncorrectType, "schema mismatch for _Installation.deviceType; expected String but got Number"),
			post(`{"deviceType":"ios","installationId":"i","appIdentifier":{"$ne":"x"}}`).fails(parse.InvalidNestedKey, ""),
			devices(`[]`),
			device("a", `{"deviceType":"ios","deviceToken":"`+upper+`","installationId":"AbC"}`),
			device("b", `{"deviceType":"android","deviceToken":"Short"}`),
			header(device("c", `{"deviceType":"ios"}`), "HEAD"),
			devices(`[` + row("a", `,"deviceToken":"`+strings.ToLower(upper)+`","installationId":"abc"`) + `,` + row("b", `,"deviceToken":"Short"`) + `,` + row("c", `,"installationId":"head"`) + `]`),
			joins("known by its id", `{"deviceType":"ios","installationId":"ABC","badge":1}`),
			joins("without a type", `{"installationId":"abc","badge":2}`),
			joins("by its token", `{"deviceType":"ios","deviceToken":"Short","badge":3}`),
			header(joins("by the id of the client", `{"badge":4}`), "head"),
			devices(`[` + row("a", `,"deviceToken":"`+strings.ToLower(upper)+`","installationId":"abc","badge":2`) + `,` + row("b", `,"deviceToken":"Short","badge":3`) + `,` + row("c", `,"installationId":"head","badge":4`) + `]`),
		}},
		{Name: "what may not change", Steps: []scenario.Step{
			device("a", `{"deviceType":"ios","installationId":"a"}`),
			device("t", `{"deviceType":"ios","deviceToken":"t"}`),
			saveOf(put("another id", "a", `{"installationId":"b"}`)).fails(parse.ChangedImmutableField, "installationId"+mayNotChange),
			saveOf(put("another type", "a", `{"deviceType":"android"}`)).fails(parse.ChangedImmutableField, "deviceType"+mayNotChange),
			saveOf(put("another token of who has nothing else", "t", `{"deviceToken":"u"}`)).fails(parse.ChangedImmutableField, "deviceToken"+mayNotChange),
			{Name: "unknown", Method: "PUT", Path: "/installations/none", Body: `{"deviceToken":"u"}`, Code: parse.ObjectNotFound, Error: "Object not found for update."},
			put("the same again", "a", `{"installationId":"A","deviceType":"ios","badge":1}`),
			put("a token of who has an id", "a", `{"deviceToken":"u"}`),
			put("another", "a", `{"deviceToken":"v"}`),
			put("an id of who has none", "t", `{"installationId":"t"}`),
			put("nothing that matters", "a", `{"badge":7}`),
			put("no token any more", "a", `{"deviceToken":{"__op":"Delete"}}`),
			header(put("by a client with an id of its own", "a", `{"badge":8,"deviceToken":"w"}`), "t"),
			devices(`[` + row("a", `,"installationId":"a","badge":8,"deviceToken":"w"`) + `,` + row("t", `,"installationId":"t","deviceToken":"t"`) + `]`),
		}},
		{Name: "a token that is there", Steps: []scenario.Step{
			device("a", `{"deviceType":"ios","deviceToken":"t"}`),
			joins("gets an id", `{"deviceType":"ios","deviceToken":"t","installationId":"a"}`),
			joins("is found without an id", `{"deviceType":"ios","deviceToken":"t","badge":1}`),
			devices(`[` + row("a", `,"installationId":"a","deviceToken":"t","badge":1`) + `]`),
			device("b", `{"deviceType":"ios","deviceToken":"t","installationId":"b"}`),
			devices(`[` + row("b", `,"installationId":"b","deviceToken":"t"`) + `]`),
			master(scenario.Step{Name: "put aside", Method: "PUT", Path: "/installations/{{b}}", Body: `{"deviceToken":"s"}`}),
			device("c", `{"deviceType":"ios","installationId":"c"}`),
			device("d", `{"deviceType":"ios","installationId":"d"}`),
			put("takes it by its id", "c", `{"deviceToken":"s","installationId":"c"}`),
			devices(`[` + row("c", `,"installationId":"c","deviceToken":"s"`) + `,` + row("d", `,"installationId":"d"`) + `]`),
			put("only the body's id takes", "d", `{"deviceToken":"s"}`),
			post(`{"deviceType":"ios","deviceToken":"s"}`).fails(parse.MissingInstallationID, ambiguous),
			header(post(`{"deviceType":"ios","deviceToken":"s"}`).fails(parse.MissingInstallationID, ambiguous), "e"),
			device("e", `{"deviceType":"ios","deviceToken":"s","installationId":"e"}`),
			devices(`[` + row("e", `,"installationId":"e","deviceToken":"s"`) + `]`),
		}},
		{Name: "of one app only", Steps: []scenario.Step{
			device("a", `{"deviceType":"ios","deviceToken":"t","installationId":"a","appIdentifier":"x"}`),
			device("b", `{"deviceType":"ios","deviceToken":"t","installationId":"b","appIdentifier":"y"}`),
			devices(`[` + row("a", `,"installationId":"a","deviceToken":"t"`) + `,` + row("b", `,"installationId":"b","deviceToken":"t"`) + `]`),
			device("c", `{"deviceType":"ios","deviceToken":"t","installationId":"c","appIdentifier":"x"}`),
			devices(`[` + row("b", `,"installationId":"b","deviceToken":"t"`) + `,` + row("c", `,"installationId":"c","deviceToken":"t"`) + `]`),
		}},
		{Name: "two that are one", Steps: []scenario.Step{
			device("id", `{"deviceType":"ios","installationId":"a","badge":1}`),
			device("token", `{"deviceType":"ios","deviceToken":"t","badge":2}`),
			joins("the token survives", `{"deviceType":"ios","deviceToken":"t","installationId":"a"}`),
			devices(`[` + row("token", `,"installationId":"a","deviceToken":"t","badge":2`) + `]`),
			device("id2", `{"deviceType":"ios","installationId":"b"}`),
			device("token2", `{"deviceType":"ios","deviceToken":"u"}`),
			// The object that survives gets the id, of which the answer tells.
			{Name: "also by a change", Method: "PUT", Path: "/installations/{{id2}}", Body: `{"deviceToken":"u"}`, JSON: `{"updatedAt":"*","installationId":"b"}`},
			devices(`[` + row("token", `,"installationId":"a","deviceToken":"t","badge":2`) + `,` + row("token2", `,"installationId":"b","deviceToken":"u"`) + `]`),
		}},
		{Name: "the id survives", Config: installing(`{"duplicateDeviceTokenMergePriority":"installationId"}`), Steps: []scenario.Step{
			device("id", `{"deviceType":"ios","installationId":"a","badge":1}`),
			device("token", `{"deviceType":"ios","deviceToken":"t","badge":2}`),
			joins("they are one", `{"deviceType":"ios","deviceToken":"t","installationId":"a"}`),
			devices(`[` + row("id", `,"installationId":"a","deviceToken":"t","badge":1`) + `]`),
		}},
		{Name: "ids are cleared, not objects deleted", Config: installing(`{"duplicateDeviceTokenAction":"update"}`), Steps: []scenario.Step{
			device("a", `{"deviceType":"ios","deviceToken":"t","installationId":"a"}`),
			device("b", `{"deviceType":"ios","deviceToken":"t","installationId":"b"}`),
			devices(`[` + row("a", `,"installationId":"a"`) + `,` + row("b", `,"installationId":"b","deviceToken":"t"`) + `]`),
			device("c", `{"deviceType":"ios","deviceToken":"u"}`),
			joins("they are one", `{"deviceType":"ios","deviceToken":"u","installationId":"a"}`),
			devices(`[` + row("a", ``) + `,` + row("b", `,"installationId":"b","deviceToken":"t"`) + `,` + row("c", `,"installationId":"a","deviceToken":"u"`) + `]`),
		}},
		{Name: "both options", Config: installing(`{"duplicateDeviceTokenAction":"update","duplicateDeviceTokenMergePriority":"installationId"}`), Steps: []scenario.Step{
			device("id", `{"deviceType":"ios","installationId":"a"}`),
			device("token", `{"deviceType":"ios","deviceToken":"t"}`),
			joins("they are one", `{"deviceType":"ios","deviceToken":"t","installationId":"a"}`),
			devices(`[` + row("id", `,"installationId":"a","deviceToken":"t"`) + `,` + row("token", ``) + `]`),
		}},
		{Name: "with the rights of the caller", Config: installing(`{"duplicateDeviceTokenActionEnforceAuth":true}`), Steps: []scenario.Step{
			device("a", `{"deviceType":"ios","deviceToken":"t","installationId":"a","ACL":{}}`),
			device("b", `{"deviceType":"ios","deviceToken":"t","installationId":"b"}`),
			device("c", `{"deviceType":"ios","deviceToken":"t","installationId":"c"}`),
			devices(`[` + row("a", `,"installationId":"a","deviceToken":"t","ACL":{}`) + `,` + row("c", `,"installationId":"c","deviceToken":"t"`) + `]`),
			master(device("d", `{"deviceType":"ios","deviceToken":"t","installationId":"d"}`)),
			devices(`[` + row("d", `,"installationId":"d","deviceToken":"t"`) + `]`),
		}},
		{Name: "without these rights", Steps: []scenario.Step{
			device("a", `{"deviceType":"ios","deviceToken":"t","installationId":"a","ACL":{}}`),
			device("b", `{"deviceType":"ios","deviceToken":"t","installationId":"b"}`),
			devices(`[` + row("b", `,"installationId":"b","deviceToken":"t"`) + `]`),
			device("c", `{"deviceType":"ios","installationId":"c","ACL":{}}`),
			saveOf(joins("an object that the caller may not write", `{"installationId":"c"}`)).fails(parse.ObjectNotFound, ""),
		}},
		{
			Name: "a save that is refused takes nothing away",
			Cloud: func(app *cloudcode.App) {
				app.BeforeSave("_Installation", func(_ context.Context, r *cloudcode.SaveRequest) error {
					if r.Object.String("appName") == "bad" {
						return parse.Errorf(parse.ValidationError, "no")
					}
					return nil
				})
			},
			Steps: []scenario.Step{
				device("a", `{"deviceType":"ios","deviceToken":"t","installationId":"a"}`),
				post(`{"deviceType":"ios","deviceToken":"t","installationId":"b","appName":"bad"}`).fails(parse.ValidationError, "no"),
				devices(`[` + row("a", `,"installationId":"a","deviceToken":"t"`) + `]`),
			},
		},
		{Name: "in batches", Steps: []scenario.Step{
			device("a", `{"deviceType":"ios","deviceToken":"t","installationId":"a"}`),
			{
				Name: "one is there", Method: "POST", Path: "/batch",
				Body: `{"requests":[{"method":"POST","path":"/parse/installations","body":{"installationId":"a","badge":1}},{"method":"POST","path":"/parse/installations","body":{"deviceType":"ios","installationId":"b"}}]}`,
				JSON: `[{"success":{"updatedAt":"*"}},{"success":{"objectId":"*","createdAt":"*"}}]`, Save: map[string]string{"1.success.objectId": "b"},
			},
			{
				Name: "all or none", Method: "POST", Path: "/batch",
				Body: `{"transaction":true,"requests":[{"method":"POST","path":"/parse/installations","body":{"installationId":"a","badge":2}},{"method":"POST","path":"/parse/installations","body":{"deviceType":"ios","deviceToken":"t","installationId":"c"}}]}`,
				JSON: `[{"success":{"updatedAt":"*"}},{"success":{"objectId":"*","createdAt":"*"}}]`, Save: map[string]string{"1.success.objectId": "c"},
			},
			devices(`[` + row("b", `,"installationId":"b"`) + `,` + row("c", `,"installationId":"c","deviceToken":"t"`) + `]`),
		}},
	})
}
