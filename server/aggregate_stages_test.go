package server_test

import (
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/server/config"
)

// TestAggregateStages runs every stage on every database, whichever of the two
// carries it out.
func TestAggregateStages(t *testing.T) {
	create := func(class, body string) scenario.Step {
		return scenario.Step{Name: "create", Method: "POST", Path: "/classes/" + class, As: "master", Body: body, Status: 201}
	}
	ask := func(pipeline, want string) scenario.Step {
		return scenario.Step{Name: pipeline, Path: "/aggregate/Town", As: "master", Query: map[string]string{"pipeline": pipeline}, JSON: `{"results":` + want + `}`}
	}
	distinct := func(field, where, want string) scenario.Step {
		return scenario.Step{Name: "distinct " + field, Path: "/aggregate/Town", As: "master", Query: map[string]string{"distinct": field, "where": where}, JSON: `{"results":` + want + `}`}
	}
	town := func(id, rest string) scenario.Step { return create("Town", `{"objectId":"`+id+`",`+rest+`}`) }
	steps := []scenario.Step{
		create("Land", `{"objectId":"L1","name":"north"}`), create("Land", `{"objectId":"L2","name":"south"}`),
		town("a", `"n":1,"name":"Aa","land":{"__type":"Pointer","className":"Land","objectId":"L1"},"at":{"__type":"GeoPoint","latitude":0,"longitude":0},"since":{"__type":"Date","iso":"2024-01-31T00:00:00.000Z"},"tags":["x","y"],"o":{"k":1}`),
		town("b", `"n":2,"name":"Bb","land":{"__type":"Pointer","className":"Land","objectId":"L2"},"at":{"__type":"GeoPoint","latitude":0,"longitude":1},"since":{"__type":"Date","iso":"2024-03-31T00:00:00.000Z"},"tags":["y"],"o":{"k":2},"next":"a"`),
		town("c", `"n":5,"name":"Cc","land":{"__type":"Pointer","className":"Land","objectId":"L1"},"at":{"__type":"GeoPoint","latitude":0,"longitude":3},"tags":[],"next":"b"`),

		ask(`[{"$match":{"land":"L1"}},{"$sort":{"n":1}},{"$project":{"_id":1}}]`, `[{"objectId":"a"},{"objectId":"c"}]`),
		ask(`[{"$match":{"since":{"$gt":"2024-02-01T00:00:00Z"}}},{"$project":{"since":1}}]`, `[{"objectId":"b","since":{"__type":"Date","iso":"2024-03-31T00:00:00.000Z"}}]`),
		ask(`[{"$match":{"at":{"$geoWithin":{"$box":[[-1,-1],[2,1]]}}}},{"$sort":{"n":1}},{"$project":{"at":1}}]`, `[{"objectId":"a","at":{"__type":"GeoPoint","latitude":0,"longitude":0}},{"objectId":"b","at":{"__type":"GeoPoint","latitude":0,"longitude":1}}]`),
		ask(`[{"$geoNear":{"near":{"type":"Point","coordinates":[1,0]},"distanceField":"d","maxDistance":200000,"includeLocs":"loc","query":{"land":"L1"}}},{"$project":{"km":{"$round":[{"$divide":["$d",1000]}]},"loc":1}}]`, `[{"objectId":"a","km":111,"loc":[0,0]}]`),
		ask(`[{"$geoNear":{"near":[1,0],"key":"at","distanceField":"d","minDistance":1}},{"$project":{"d":1}}]`, `[{"objectId":"a","d":1},{"objectId":"c","d":2}]`),
		ask(`[{"$geoNear":{"near":{"__type":"GeoPoint","latitude":0,"longitude":0},"spherical":true,"distanceMultiplier":6371,"distanceField":"d"}},{"$limit":2},{"$project":{"d":{"$trunc":"$d"}}}]`, `[{"objectId":"a","d":0},{"objectId":"b","d":111}]`),
		ask(`[{"$sort":{"n":1}},{"$project":{"lon":{"$arrayElemAt":["$at",0]}}},{"$limit":2}]`, `[{"objectId":"a","lon":0},{"objectId":"b","lon":1}]`),
		ask(`[{"$addFields":{"key":{"$arrayElemAt":[{"$split":["$_p_land",{"$literal":"$"}]},1]}}},{"$lookup":{"from":"Land","localField":"key","foreignField":"_id","as":"l","pipeline":[{"$project":{"name":1}}]}},{"$sort":{"n":1}},{"$project":{"_id":0,"l":{"$first":"$l.name"}}}]`, `[{"l":"north"},{"l":"south"},{"l":"north"}]`),
		ask(`[{"$match":{"n":5}},{"$graphLookup":{"from":"Town","startWith":"$next","connectFromField":"next","connectToField":"_id","as":"way","depthField":"d"}},{"$project":{"_id":0,"way":{"$map":{"input":{"$sortArray":{"input":"$way","sortBy":{"d":1}}},"in":"$$this._id"}}}}]`, `[{"way":["b","a"]}]`),
		ask(`[{"$project":{"name":1}},{"$unionWith":{"coll":"Land","pipeline":[{"$project":{"name":1}}]}},{"$group":{"_id":null,"c":{"$sum":1},"hi":{"$max":"$name"}}}]`, `[{"objectId":null,"c":5,"hi":"south"}]`),
		ask(`[{"$sort":{"n":1}},{"$bucketAuto":{"groupBy":"$n","buckets":2}}]`, `[{"objectId":{"min":1,"max":5},"count":2},{"objectId":{"min":5,"max":5},"count":1}]`),
		ask(`[{"$bucket":{"groupBy":"$n","boundaries":[0,3],"default":"more","output":{"s":{"$sum":"$n"}}}}]`, `[{"objectId":0,"s":3},{"objectId":"more","s":5}]`),
		ask(`[{"$match":{"o":{"$exists":true}}},{"$redact":{"$cond":[{"$eq":["$k",2]},"$$PRUNE","$$DESCEND"]}},{"$sort":{"n":1}},{"$project":{"o":1}}]`, `[{"objectId":"a","o":{"k":1}},{"objectId":"b"}]`),
		ask(`[{"$setWindowFields":{"partitionBy":"$_p_land","sortBy":{"n":1},"output":{"run":{"$sum":"$n","window":{"documents":["unbounded","current"]}},"rank":{"$rank":{}}}}},{"$sort":{"n":1}},{"$project":{"_id":0,"run":1,"rank":1}}]`, `[{"run":1,"rank":1},{"run":2,"rank":1},{"run":6,"rank":2}]`),
		ask(`[{"$project":{"_id":0,"n":1}},{"$densify":{"field":"n","range":{"step":1,"bounds":"full"}}},{"$count":"c"}]`, `[{"c":5}]`),
		ask(`[{"$match":{"since":{"$exists":true}}},{"$project":{"_id":0,"since":1}},{"$densify":{"field":"since","range":{"step":1,"unit":"month","bounds":"full"}}},{"$project":{"m":{"$month":"$since"}}}]`, `[{"m":1},{"m":2},{"m":3}]`),
		ask(`[{"$sort":{"n":1}},{"$fill":{"sortBy":{"n":1},"output":{"since":{"method":"locf"},"next":{"value":"-"}}}},{"$project":{"_id":0,"next":1,"y":{"$year":"$since"}}}]`, `[{"next":"-","y":2024},{"next":"a","y":2024},{"next":"b","y":2024}]`),
		ask(`[{"$group":{"_id":{"$dateTrunc":{"date":"$since","unit":"quarter"}},"c":{"$sum":1}}},{"$sort":{"_id":1}},{"$project":{"_id":0,"c":1}}]`, `[{"c":1},{"c":2}]`),
		ask(`[{"$facet":{"tags":[{"$unwind":"$tags"},{"$sortByCount":"$tags"}],"all":[{"$count":"n"}]}}]`, `[{"tags":[{"_id":"y","count":2},{"_id":"x","count":1}],"all":[{"n":3}]}]`),
		ask(`[{"$match":{"n":1}},{"$replaceRoot":{"newRoot":"$o"}}]`, `[{"k":1}]`),
		ask(`[{"$match":{"n":1}},{"$set":{"m":{"$mergeObjects":["$o",{"j":2}]}}},{"$unset":["o","tags"]},{"$project":{"_id":0,"m":1,"o":1}}]`, `[{"m":{"k":1,"j":2}}]`),
		ask(`[{"$sample":{"size":2}},{"$count":"c"}]`, `[{"c":2}]`),
		ask(`[{"$group":{"_id":null,"top":{"$topN":{"n":2,"sortBy":{"n":-1},"output":"$name"}},"mid":{"$median":{"input":"$n","method":"approximate"}}}}]`, `[{"objectId":null,"top":["Cc","Bb"],"mid":2}]`),
		distinct("tags", `{"n":2}`, `["y"]`), distinct("o.k", `{"n":{"$gt":1}}`, `[2]`), distinct("next", `{"n":5}`, `["b"]`),
		distinct("since", `{"n":1}`, `[{"__type":"Date","iso":"2024-01-31T00:00:00.000Z"}]`),
		distinct("at", `{"n":2}`, `[{"__type":"GeoPoint","latitude":0,"longitude":1}]`),
		distinct("land", `{"n":{"$lt":2}}`, `[{"__type":"Pointer","className":"Land","objectId":"L1"}]`),
		distinct("objectId", `{"n":5}`, `["c"]`),
	}
	scenario.Run(t, []scenario.Scenario{{Name: "stages", Config: func(c *config.Config) { open(c); c.AllowCustomObjectID = true }, Steps: steps}})
}
