package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"strconv"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Review is an object of the class Review.
type Review struct {
	ID    string
	Movie string
	Stars int
	Draft bool
}

func checkReview(_ context.Context, r *cloudcode.Save[Review]) error {
	if r.Object.Stars < 1 || r.Object.Stars > 5 {
		return cloudcode.Err(parse.ValidationError, "stars must be between 1 and 5")
	}
	return nil
}

// tellReview keeps drafts from those who watch reviews: to them a review that
// is finished is a new one.
func tellReview(_ context.Context, r *cloudcode.Event[Review]) error {
	switch {
	case r.Object.Draft:
		r.SendEvent = false
	case r.Original() != nil && r.Original().Draft:
		r.Event, r.EventRequest.Original = "create", nil
	}
	return nil
}

func hello(_ context.Context, r *cloudcode.Call[struct{ Name string }]) (string, error) {
	return "Hello, " + r.Params.Name + "!", nil
}

func averageStars(ctx context.Context, r *cloudcode.Call[struct{ Movie string }]) (float64, error) {
	reviews, err := cloudcode.Find[Review](ctx, r.Client, query.Query{Where: query.Equal("movie", r.Params.Movie), Limit: query.NoLimit})
	if err != nil || len(reviews) == 0 {
		return 0, err
	}
	sum := 0
	for _, review := range reviews {
		sum += review.Stars
	}
	return float64(sum) / float64(len(reviews)), nil
}

// importReviews stores the reviews in a file of lines such as "Metropolis,5",
// all or none, and returns how many.
func importReviews(ctx context.Context, r *cloudcode.Call[struct{ File cloudcode.Upload }]) (int, error) {
	rows, err := csv.NewReader(bytes.NewReader(r.Params.File.Data)).ReadAll()
	if err != nil {
		return 0, cloudcode.Err(parse.ValidationError, "%s: %v", r.Params.File.Filename, err)
	}
	return len(rows), r.Client.InTx(ctx, func(ctx context.Context, c cloudcode.Client) error {
		for i, row := range rows {
			stars, err := strconv.Atoi(row[len(row)-1])
			if err != nil || len(row) != 2 {
				return cloudcode.Err(parse.ValidationError, "%s: line %d is not a film and its stars", r.Params.File.Filename, i+1)
			}
			if _, err := cloudcode.Create(ctx, c, &Review{Movie: row[0], Stars: stars}); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeDrafts deletes the reviews that nobody finished.
func removeDrafts(ctx context.Context, r *cloudcode.JobRequest) (string, error) {
	master := r.Client.AsMaster()
	drafts, err := cloudcode.Find[Review](ctx, master, query.Query{Where: query.Equal("draft", true), Limit: query.NoLimit})
	if err != nil {
		return "", err
	}
	for i, d := range drafts {
		if err := master.Delete(ctx, "Review", d.ID); err != nil {
			return "", err
		}
		if err := r.Message(ctx, fmt.Sprintf("%d of %d", i+1, len(drafts))); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("removed %d drafts", len(drafts)), nil
}
