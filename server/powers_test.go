package server_test

import (
	"net/http"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/server/config"
)

// What the keys may do (reference 04 §1.4).
func TestPowersOfKeys(t *testing.T) {
	upkeep := map[string]string{"X-Parse-Maintenance-Key": "upkeep"}
	reader := map[string]string{"X-Parse-Master-Key": "reader"}
	const date = `{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"}`
	keys := func(c *config.Config) {
		c.MaintenanceKey, c.ReadOnlyMasterKey, c.AllowClientClassCreation = "upkeep", "reader", true
	}
	signUp := scenario.Step{
		Name: "sign up", Method: http.MethodPost, Path: "/users", Body: `{"username":"ada","password":"pw"}`,
		Save: map[string]string{"objectId": "ada.id", "sessionToken": "ada.token"},
	}
	const me = "/users/{{ada.id}}"
	lacks := func(name, as string, header map[string]string) scenario.Step {
		return scenario.Step{Name: name, Path: me, As: as, Header: header, Lacks: []string{"_failed_login_count", "_hashed_password", "$2a$"}}
	}
	refused := func(method, path, body, text string) scenario.Step {
		return scenario.Step{
			Name: method + " " + path, Method: method, Path: path, Body: body, Header: reader, Status: http.StatusBadRequest, Code: 119, Error: text,
		}
	}
	const noWrite = "Permission denied"
	list := []scenario.Scenario{
		{Name: "internal fields", Config: keys, Steps: []scenario.Step{
			signUp,
			{Name: "a client writes none", Method: http.MethodPut, Path: me, As: "ada", Body: `{"_failed_login_count":3}`, Status: 400, Code: 105},
			{Name: "nor the master key", Method: http.MethodPut, Path: me, As: "master", Body: `{"_failed_login_count":3}`, Status: 400, Code: 105, Error: "Invalid field name: _failed_login_count."},
			{Name: "the maintenance key does", Method: http.MethodPut, Path: me, Header: upkeep, Body: `{"_failed_login_count":3}`},
			{Name: "and reads it", Path: me, Header: upkeep, JSON: `{"objectId":"{{ada.id}}","username":"ada","_failed_login_count":3,"...":0}`, Lacks: []string{"$2a$"}},
			{Name: "in lists as well", Path: "/users", Header: upkeep, JSON: `{"results":[{"objectId":"{{ada.id}}","_failed_login_count":3,"...":0}]}`, Lacks: []string{"$2a$"}},
			lacks("nobody else reads it: the user", "ada", nil),
			lacks("nobody else reads it: the master key", "master", nil),
			lacks("nobody else reads it: the read-only key", "", reader),
		}},
		{Name: "dates of an object", Config: keys, Steps: []scenario.Step{
			{Name: "are dates", Method: http.MethodPost, Path: "/classes/Log", Body: `{"createdAt":"2020-01-01T00:00:00.000Z"}`, Status: 400, Code: 111},
			{Name: "not by clients", Method: http.MethodPost, Path: "/classes/Log", Body: `{"createdAt":` + date + `}`, Status: 201, Lacks: []string{"2020"}},
			{Name: "not by the master key", Method: http.MethodPost, Path: "/classes/Log", As: "master", Body: `{"createdAt":` + date + `}`, Status: 201, Lacks: []string{"2020"}},
			{
				Name: "by the maintenance key", Method: http.MethodPost, Path: "/classes/Log", Header: upkeep, Status: 201,
				Body: `{"n":1,"createdAt":` + date + `,"updatedAt":` + date + `}`, Save: map[string]string{"objectId": "id"},
			},
			{Name: "they are kept", Path: "/classes/Log/{{id}}", JSON: `{"objectId":"{{id}}","n":1,"createdAt":"2020-01-01T00:00:00.000Z","updatedAt":"2020-01-01T00:00:00.000Z"}`},
			{
				Name: "in order", Method: http.MethodPost, Path: "/classes/Log", Header: upkeep, Status: 400, Code: 142, Error: "updatedAt cannot occur before createdAt",
				Body: `{"createdAt":` + date + `,"updatedAt":{"__type":"Date","iso":"2019-01-01T00:00:00.000Z"}}`,
			},
		}},
		{Name: "the maintenance key is no master key", Config: keys, Steps: []scenario.Step{
			signUp,
			{Path: "/schemas", Header: upkeep, Status: 403},
			{Path: "/hooks/functions", Header: upkeep, Status: 403},
			{Method: http.MethodPut, Path: "/config", Header: upkeep, Body: `{"params":{"a":1}}`, Status: 403},
			{Path: "/serverInfo", Header: upkeep, Status: 403},
			{Path: "/sessions", Header: upkeep, Status: 400, Code: 209},
		}},
		{Name: "the read-only key writes nothing", Config: keys, Steps: []scenario.Step{
			signUp,
			{Method: http.MethodPost, Path: "/classes/Log", Body: `{"n":1}`, Status: 201, Save: map[string]string{"objectId": "id"}},
			{Path: "/classes/Log/{{id}}", Header: reader, JSON: `{"objectId":"{{id}}","n":1,"...":0}`},
			{Path: "/schemas", Header: reader},
			{Path: "/sessions", Header: reader, JSON: `{"results":["*"]}`},
			refused(http.MethodPost, "/classes/Log", `{"n":2}`, noWrite),
			refused(http.MethodPut, "/classes/Log/{{id}}", `{"n":2}`, noWrite),
			refused(http.MethodDelete, "/classes/Log/{{id}}", "", noWrite),
			refused(http.MethodPost, "/users", `{"username":"bob","password":"pw"}`, noWrite),
			refused(http.MethodPost, "/loginAs", `{"userId":"{{ada.id}}"}`, noWrite),
			refused(http.MethodPost, "/schemas/New", `{"className":"New"}`, noWrite),
			refused(http.MethodPut, "/schemas/Log", `{"className":"Log"}`, noWrite),
			refused(http.MethodDelete, "/schemas/Log", "", noWrite),
			refused(http.MethodDelete, "/purge/Log", "", noWrite),
			refused(http.MethodPost, "/hooks/functions", `{"functionName":"f","url":"https://example.com"}`, noWrite),
			refused(http.MethodPut, "/config", `{"params":{"a":1}}`, noWrite),
			{
				Name: "batch", Method: http.MethodPost, Path: "/batch", Header: reader, JSON: `[{"error":{"code":119,"error":"Permission denied"}}]`,
				Body: `{"requests":[{"method":"PUT","path":"/parse/classes/Log/{{id}}","body":{"n":2}}]}`,
			},
			{Name: "login", Method: http.MethodPost, Path: "/login", Header: reader, Body: `{"username":"ada","password":"pw"}`},
			{Name: "nothing was written", Path: "/classes/Log/{{id}}", JSON: `{"objectId":"{{id}}","n":1,"...":0}`},
		}},
		{Name: "routes", Config: func(c *config.Config) {
			keys(c)
			c.RouteAllowList = []string{"classes/Open.*", "users"}
		}, Steps: []scenario.Step{
			{Method: http.MethodPost, Path: "/classes/Open", Body: `{"n":1}`, Status: 201, Save: map[string]string{"objectId": "id"}},
			{Path: "/classes/Open/{{id}}", JSON: `{"objectId":"{{id}}","...":0}`},
			{Name: "is not on the list", Path: "/classes/Closed", Status: 400, Code: 119, Error: "Permission denied"},
			{Name: "the whole path counts", Path: "/users/x", Status: 400, Code: 119, Error: "Permission denied"},
			{
				Name: "in a batch", Method: http.MethodPost, Path: "/batch", Status: 400, Code: 119, Error: "Permission denied",
				Body: `{"requests":[{"method":"GET","path":"/parse/classes/Closed"}]}`,
			},
			{Name: "the maintenance key passes", Path: "/classes/Closed", Header: upkeep, JSON: `{"results":[]}`},
			{Name: "the master key passes", Path: "/classes/Closed", As: "master", JSON: `{"results":[]}`},
		}},
	}
	for name, at := range map[string]func(*config.Config, []string){
		"master": func(c *config.Config, ips []string) { c.MasterKeyIPs = ips },
		"reader": func(c *config.Config, ips []string) { c.ReadOnlyMasterKeyIPs = ips },
		"upkeep": func(c *config.Config, ips []string) { c.MaintenanceKeyIPs = ips },
	} {
		header := map[string]string{"X-Parse-Master-Key": name}
		if name == "upkeep" {
			header = upkeep
		}
		list = append(list, scenario.Scenario{Name: "addresses of the key " + name, Config: func(c *config.Config) {
			keys(c)
			at(c, []string{"10.0.0.0/8"})
		}, Steps: []scenario.Step{
			{Path: "/classes/Log", Header: header, Status: 403, JSON: `{"error":"unauthorized"}`},
			{Name: "a client is not asked", Path: "/classes/Log", JSON: `{"results":[]}`},
		}})
	}
	scenario.Run(t, list)
}
