// Package words cuts text into words as the text search of MongoDB does: words
// end at the marks that Unicode calls dashes, quotation marks, punctuation and
// the like, frequent words of a language are left out, the others reduced to
// their stem, their case and their accents removed.
package words
