package query

import "github.com/pargo-baas/pargo/parse"

// Complexity is what an operator allows the where clauses of clients to be,
// within the Limits that hold for everybody (reference 01 §8.9). A zero field
// is no limit; a nil Complexity allows everything.
type Complexity struct {
	// Depth bounds the nesting of $or, $and and $nor in one where clause.
	Depth int
	// SubqueryDepth bounds the nesting of sub-queries.
	SubqueryDepth int
	// NoRegex refuses $regex.
	NoRegex bool
}

// Check reads a decoded where clause as it was sent. Errors are 102; what is
// wrong with the clause otherwise is for ParseWhere to tell.
func (x *Complexity) Check(where parse.Value) error {
	if x == nil {
		return nil
	}
	return x.check(where, 0, 0)
}

// check counts wherever the operators stand, below other operators as well.
func (x *Complexity) check(v parse.Value, depth, sub int) error {
	switch v := v.(type) {
	case parse.Array:
		for _, e := range v {
			if err := x.check(e, depth, sub); err != nil {
				return err
			}
		}
	case *parse.Map:
		for i := range v.Len() {
			f := v.At(i)
			if err := x.member(f.Key, f.Value, depth, sub); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *Complexity) member(key string, v parse.Value, depth, sub int) error {
	switch key {
	case "$or", "$and", "$nor":
		if depth++; x.Depth > 0 && depth > x.Depth {
			return parse.Errorf(parse.InvalidQuery, "Query condition nesting depth exceeds maximum allowed depth of %d", x.Depth)
		}
	case "$inQuery", "$notInQuery", "$select", "$dontSelect":
		depth = 0
		if sub++; x.SubqueryDepth > 0 && sub > x.SubqueryDepth {
			return parse.Errorf(parse.InvalidQuery, "Subquery nesting depth exceeds maximum allowed depth of %d", x.SubqueryDepth)
		}
	case "$regex", "$regexMatch", "$regexFind", "$regexFindAll":
		if x.NoRegex {
			return parse.Errorf(parse.InvalidQuery, "$regex operator is not allowed")
		}
	}
	return x.check(v, depth, sub)
}
