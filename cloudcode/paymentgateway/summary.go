package paymentgateway

import (
	"context"
	"maps"
	"slices"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// summaryChunk is how many transactions are in memory at a time.
const summaryChunk = 500

type sum struct {
	count int
	cents int64
}

func (s *sum) add(cents int64) {
	s.count++
	s.cents += cents
}

func (s *sum) fields() *parse.Map {
	return parse.NewMap(
		parse.MapField{Key: "count", Value: float64(s.count)},
		parse.MapField{Key: "total", Value: Amount(s.cents)},
	)
}

// sums are the sums of a set of transactions, in all and by status.
type sums struct {
	all      sum
	byStatus map[string]*sum
}

func (s *sums) add(status string, cents int64) {
	s.all.add(cents)
	if s.byStatus == nil {
		s.byStatus = map[string]*sum{}
	}
	one := s.byStatus[status]
	if one == nil {
		one = &sum{}
		s.byStatus[status] = one
	}
	one.add(cents)
}

func (s *sums) statuses() *parse.Map {
	m := &parse.Map{}
	for _, status := range slices.Sorted(maps.Keys(s.byStatus)) {
		m.Set(status, s.byStatus[status].fields())
	}
	return m
}

// transactionSummary adds up the caller's TransactionHistory.
func (g *gateway) transactionSummary(ctx context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
	user, err := caller(r)
	if err != nil {
		return nil, err
	}
	var total sums
	months := map[string]*sums{}
	// An admin reads everybody's; this is about his own.
	own := query.Equal(fieldUser, user)
	last := ""
	for {
		where := own
		if last != "" {
			where = query.AllOf(own, &query.Compare{Path: parse.KeyObjectID, Op: query.Gt, Value: last})
		}
		chunk, err := r.Client.Find(ctx, classHistory, query.Query{
			Where: where,
			Order: []query.Sort{{Path: parse.KeyObjectID}},
			Limit: summaryChunk,
			Keys:  []string{fieldAmount, fieldStatus, fieldTimestamp},
		})
		if err != nil {
			return nil, err
		}
		// The server may cap the limit: only an empty chunk is the end.
		if len(chunk) == 0 {
			break
		}
		last = chunk[len(chunk)-1].ID
		for _, h := range chunk {
			amount, _ := h.Number(fieldAmount)
			at, _ := h.Get(fieldTimestamp)
			date, ok := at.(parse.Date)
			if !ok {
				date = h.CreatedAt
			}
			month := date.Time().Format("2006-01")
			if months[month] == nil {
				months[month] = &sums{}
			}
			total.add(h.String(fieldStatus), nearestCents(amount))
			months[month].add(h.String(fieldStatus), nearestCents(amount))
		}
	}
	byMonth := parse.Array{}
	for _, month := range slices.Sorted(maps.Keys(months)) {
		s := months[month]
		entry := parse.NewMap(parse.MapField{Key: "month", Value: month})
		for k, v := range s.all.fields().All() {
			entry.Set(k, v)
		}
		entry.Set("byStatus", s.statuses())
		byMonth = append(byMonth, entry)
	}
	return parse.NewMap(
		parse.MapField{Key: "byStatus", Value: total.statuses()},
		parse.MapField{Key: "byMonth", Value: byMonth},
		parse.MapField{Key: "count", Value: float64(total.all.count)},
		parse.MapField{Key: "total", Value: Amount(total.all.cents)},
	), nil
}
