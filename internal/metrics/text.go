// Package metrics writes the text format of Prometheus (0.0.4). pargo's counters
// are atomics in the packages that count; this package only prints them, which
// takes a page of code where client_golang would add a registry, protobuf and
// 3 MB to the binary.
package metrics

import (
	"strconv"
	"strings"
)

// ContentType is the media type of the format.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Writer collects metrics. The zero value is ready for use.
type Writer struct{ buf []byte }

// Family begins a metric: kind is counter, gauge or histogram. All its samples follow.
func (w *Writer) Family(name, kind, help string) {
	w.buf = append(w.buf, "# HELP "+name+" "...)
	w.buf = append(w.buf, helpText.Replace(help)...)
	w.buf = append(w.buf, "\n# TYPE "+name+" "+kind+"\n"...)
}

// Sample writes one value; labels are names and values in turn.
func (w *Writer) Sample(name string, v float64, labels ...string) {
	w.buf = append(w.buf, name...)
	for i := 0; i+1 < len(labels); i += 2 {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		w.buf = append(append(append(w.buf, sep), labels[i]...), `="`...)
		w.buf = append(append(w.buf, labelText.Replace(labels[i+1])...), '"')
	}
	if len(labels) > 1 {
		w.buf = append(w.buf, '}')
	}
	w.buf = strconv.AppendFloat(append(w.buf, ' '), v, 'g', -1, 64)
	w.buf = append(w.buf, '\n')
}

// One writes a metric that has one value and no labels.
func (w *Writer) One(name, kind, help string, v float64) {
	w.Family(name, kind, help)
	w.Sample(name, v)
}

// Histogram writes the samples of one histogram: counts has one entry for each
// bound, in order, and one for what is above the last.
func (w *Writer) Histogram(name string, bounds []float64, counts []int64, sum float64, labels ...string) {
	total := int64(0)
	for i, n := range counts {
		total += n
		le := "+Inf"
		if i < len(bounds) {
			le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		w.Sample(name+"_bucket", float64(total), append(labels[:len(labels):len(labels)], "le", le)...)
	}
	w.Sample(name+"_sum", sum, labels...)
	w.Sample(name+"_count", float64(total), labels...)
}

// Bytes returns what was written.
func (w *Writer) Bytes() []byte { return w.buf }

var (
	helpText  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelText = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)
