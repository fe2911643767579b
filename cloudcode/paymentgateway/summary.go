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

// sum is how many transactions there are, and how much money.
type sum struct {
	Count int
	Total float64
	cents int64
}

func (s *sum) add(cents int64) {
	s.Count++
	s.cents += cents
	s.Total = Amount(s.cents)
}

// statuses are sums by status.
type statuses map[string]sum

func (s statuses) add(status string, cents int64) {
	one := s[status]
	one.add(cents)
	s[status] = one
}

// monthSum are the sums of one month.
type monthSum struct {
	Month    string
	Count    int
	Total    float64
	ByStatus statuses
}

// summary is the answer of transactionSummary.
type summary struct {
	ByStatus statuses
	ByMonth  []monthSum
	Count    int
	Total    float64
}

// transactionSummary adds up the caller's TransactionHistory.
func (g *gateway) transactionSummary(ctx context.Context, r *cloudcode.Call[struct{}]) (*summary, error) {
	user, err := caller(r.FunctionRequest)
	if err != nil {
		return nil, err
	}
	type sums struct {
		all      sum
		byStatus statuses
	}
	total := sums{byStatus: statuses{}}
	months := map[string]*sums{}
	// An admin reads everybody's; this is about his own.
	own := query.Equal("user", user)
	last := ""
	for {
		where := own
		if last != "" {
			where = query.AllOf(own, &query.Compare{Path: parse.KeyObjectID, Op: query.Gt, Value: last})
		}
		chunk, err := cloudcode.Find[TransactionHistory](ctx, r.Client, query.Query{
			Where: where,
			Order: []query.Sort{{Path: parse.KeyObjectID}},
			Limit: summaryChunk,
			Keys:  []string{"amount", "status", "timestamp"},
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
			at := h.Timestamp
			if at.IsZero() {
				at = h.CreatedAt
			}
			month := months[at.Format("2006-01")]
			if month == nil {
				month = &sums{byStatus: statuses{}}
				months[at.Format("2006-01")] = month
			}
			for _, s := range [...]*sums{&total, month} {
				s.all.add(nearestCents(h.Amount))
				s.byStatus.add(h.Status, nearestCents(h.Amount))
			}
		}
	}
	out := &summary{ByStatus: total.byStatus, ByMonth: []monthSum{}, Count: total.all.Count, Total: total.all.Total}
	for _, month := range slices.Sorted(maps.Keys(months)) {
		s := months[month]
		out.ByMonth = append(out.ByMonth, monthSum{Month: month, Count: s.all.Count, Total: s.all.Total, ByStatus: s.byStatus})
	}
	return out, nil
}
