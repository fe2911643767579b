package codegen

import (
	"fmt"
	"strings"
)

// context is how many equal lines a difference shows around those that differ.
const context = 3

// maxCells bounds the table of Diff; beyond it everything between the equal
// beginning and the equal end counts as different.
const maxCells = 4_000_000

// Diff returns what makes one text another, line by line in the form of diff
// -u, or "" if they are equal.
func Diff(from, to, old, now string) string {
	if old == now {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", from, to)
	edits := compare(lines(old), lines(now))
	a, c := 1, 1 // the numbers of the next lines
	for i := 0; i < len(edits); {
		if edits[i].sign == ' ' {
			a, c, i = a+1, c+1, i+1
			continue
		}
		start, end := max(0, i-context), i
		for n := i; n < len(edits) && n-end <= 2*context; n++ {
			if edits[n].sign != ' ' {
				end = n
			}
		}
		end = min(len(edits), end+1+context)
		var olds, news int
		var text strings.Builder
		for _, e := range edits[start:end] {
			if e.sign != '+' {
				olds++
			}
			if e.sign != '-' {
				news++
			}
			text.WriteByte(e.sign)
			text.WriteString(e.line + "\n")
		}
		first, second := a-(i-start), c-(i-start)
		fmt.Fprintf(&b, "@@ -%d,%d +%d,%d @@\n%s", first, olds, second, news, text.String())
		a, c, i = first+olds, second+news, end
	}
	return b.String()
}

type edit struct {
	sign byte // ' ', '-' or '+'
	line string
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// compare finds the longest common lines.
func compare(old, now []string) []edit {
	var head, tail []edit
	for len(old) > 0 && len(now) > 0 && old[0] == now[0] {
		head, old, now = append(head, edit{' ', old[0]}), old[1:], now[1:]
	}
	for len(old) > 0 && len(now) > 0 && old[len(old)-1] == now[len(now)-1] {
		tail = append(tail, edit{' ', old[len(old)-1]})
		old, now = old[:len(old)-1], now[:len(now)-1]
	}
	// common[i][j] is how many lines old[i:] and now[j:] have in common.
	width := len(now) + 1
	var common []int32
	if (len(old)+1)*width <= maxCells {
		common = make([]int32, (len(old)+1)*width)
		for i := len(old) - 1; i >= 0; i-- {
			for j := len(now) - 1; j >= 0; j-- {
				if old[i] == now[j] {
					common[i*width+j] = common[(i+1)*width+j+1] + 1
				} else {
					common[i*width+j] = max(common[(i+1)*width+j], common[i*width+j+1])
				}
			}
		}
	}
	i, j := 0, 0
	for i < len(old) || j < len(now) {
		switch {
		case common != nil && i < len(old) && j < len(now) && old[i] == now[j]:
			head = append(head, edit{' ', old[i]})
			i, j = i+1, j+1
		case i < len(old) && (common == nil || j == len(now) || common[(i+1)*width+j] >= common[i*width+j+1]):
			head = append(head, edit{'-', old[i]})
			i++
		default:
			head = append(head, edit{'+', now[j]})
			j++
		}
	}
	for n := len(tail) - 1; n >= 0; n-- {
		head = append(head, tail[n])
	}
	return head
}
