package mongo

import (
	"slices"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// MongoDB searches one text at the top level of a query, with the one text
// index of a collection. All other searches are done here, by query.Matcher.

const (
	kindText = "text"
	// languageOverride is a field that no object has.
	languageOverride = "_text_language"
)

// isText reports whether an index is for searches.
func isText(idx *schema.Index) bool {
	return slices.ContainsFunc(idx.Keys, func(k schema.IndexKey) bool { return k.Kind == kindText })
}

// textIndex returns the index that can search a path, nil if there is none.
func textIndex(class *schema.Class, path query.Path) *schema.Index {
	for i := range class.Indexes {
		if slices.Contains(class.Indexes[i].Keys, schema.IndexKey{Field: string(path), Kind: kindText}) {
			return &class.Indexes[i]
		}
	}
	return nil
}

// sameWords reports whether the real index searches the fields of idx.
func (r *realIndex) sameWords(idx *schema.Index) bool {
	if len(r.Weights) == 0 {
		return false
	}
	fields, err := r.Weights.Elements()
	if err != nil || len(fields) != len(idx.Keys) {
		return false
	}
	for _, f := range fields {
		if !slices.Contains(idx.Keys, schema.IndexKey{Field: f.Key(), Kind: kindText}) {
			return false
		}
	}
	return true
}

// search translates a search. What MongoDB answers for other fields of its
// index, and with regard to case or accents, is left to the matcher.
func (w *walker) search(n *query.Text) cond {
	if len(n.Terms()) == 0 {
		return condNever
	}
	t := w.resolve(n.Path)
	if n != w.text {
		switch {
		case t.opaque:
			return condUnknown
		case short(t.typ):
			return condNever
		}
		return t.present()
	}
	i, doc := bsoncore.AppendDocumentStart(nil)
	j, doc := bsoncore.AppendDocumentElementStart(doc, "$text")
	doc = bsoncore.AppendStringElement(doc, "$search", n.Term)
	if n.Language != "english" { // that of the index, unless somebody made it otherwise
		doc = bsoncore.AppendStringElement(doc, "$language", n.Language)
	}
	alone := len(textIndex(w.class, n.Path).Keys) == 1
	return cond{doc: endDocument(endDocument(doc, j), i), exact: alone && !n.CaseSensitive && !n.DiacriticSensitive}
}

// textScore appends the order by score to a sort document.
func textScore(dst []byte) []byte {
	i, dst := bsoncore.AppendDocumentElementStart(dst, query.ScoreField)
	dst = bsoncore.AppendStringElement(dst, "$meta", "textScore")
	return endDocument(dst, i)
}

// scoredKeys are the keys to fetch: the score is made of the text here, with
// MongoDB's formula, because servers differ in how they answer with theirs.
func scoredKeys(f *storage.Find) []string {
	n := query.TextOf(f.Where)
	if !f.Score || n == nil || f.Keys == nil {
		return f.Keys
	}
	return append(slices.Clone(f.Keys), n.Path.Root())
}

// scorer returns what puts the score into an object, if it is asked for.
func scorer(f *storage.Find) func(*parse.Object) {
	n := query.TextOf(f.Where)
	if !f.Score || n == nil {
		return func(*parse.Object) {}
	}
	score := n.Score()
	return func(o *parse.Object) { o.Set(query.ScoreField, score(o)) }
}
