package csvfile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// errMadeMeanwhile says that another process made a property of the same name, so that the file is looked through again.
var errMadeMeanwhile = errors.New("another process made a property of the same name")

// passOver takes properties back that killed imports left behind; a dry run only looks past them.
func (im *importer) passOver(ctx context.Context) error {
	now := im.store.Now()
	if !slices.ContainsFunc(im.schema.Properties, func(p record.Property) bool { return p.AwaitsLines() && !p.Pending.Alive(now) }) {
		return nil
	}
	var err error
	if im.o.DryRun {
		if im.report.TakenBack, err = im.store.LeftBehind(ctx, im.o.Object); err != nil {
			return fmt.Errorf("look for properties that a killed import left behind: %w", err)
		}
		properties := slices.Clone(im.schema.Properties)
		for i := range properties {
			properties[i].Removed = properties[i].Removed || slices.Contains(im.report.TakenBack, properties[i].Name)
		}
		im.schema = record.NewSchema(im.schema.Object, im.schema.Version, properties)
		return nil
	}
	if im.report.TakenBack, err = im.store.SweepProperties(ctx, im.o.Object, im.o.Cause, im.o.At); err != nil {
		return fmt.Errorf("take back properties that a killed import left behind: %w", err)
	}
	im.schema, err = im.store.Schema(ctx, im.o.Object)
	return err
}

// awaits reports whether a column is of a property that another import has made, and may take back.
func (im *importer) awaits(l *layout) bool {
	return !im.o.DryRun && slices.ContainsFunc(l.columns, func(c column) bool { return c.property != nil && im.others(c.property) })
}

// others reports whether another import has made the property, and may take it back.
func (im *importer) others(p *record.Property) bool {
	return p.AwaitsLines() && p.Pending.Import != im.token
}

// How often await asks, and after how long the caller is told that it waits.
const (
	awaitPause = 100 * time.Millisecond
	awaitSaid  = 10 // pauses
)

// await waits until it is decided whether those properties stay: their import brings in a line, takes them back, or is dead.
func (im *importer) await(ctx context.Context, l *layout) error {
	for tries := 1; ; tries++ {
		schema, err := im.store.Schema(ctx, im.o.Object)
		if err != nil {
			return err
		}
		im.schema = schema
		if err := im.passOver(ctx); err != nil {
			return err
		}
		waits := slices.ContainsFunc(l.columns, func(c column) bool {
			if c.property == nil {
				return false
			}
			p := im.schema.Number(c.property.Number)
			return p != nil && im.others(p)
		})
		if !waits {
			return nil
		}
		if tries == awaitSaid && im.o.Waiting != nil {
			im.o.Waiting()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(awaitPause):
		}
	}
}

// makeProperties makes the properties, which are this import's until a line is in.
func (im *importer) makeProperties(ctx context.Context, properties []record.Property) error {
	im.token = rand.Text()
	schema, err := im.store.AddForImport(ctx, im.o.Object, properties, im.token, im.o.Cause, im.o.At)
	if errors.Is(err, record.ErrExists) {
		im.token, im.surveyed = "", nil
		if im.schema, err = im.store.Schema(ctx, im.o.Object); err == nil {
			err = errMadeMeanwhile
		}
		return err
	}
	if err != nil {
		return fmt.Errorf("make properties: %w", err)
	}
	im.schema = schema
	im.renewal = startRenewal(ctx, im.renew)
	return nil
}

// renew is a sign of life of the import that made properties. When the process was frozen for so long that others took the properties
// back, it gets them again.
func (im *importer) renew(ctx context.Context) error {
	err := im.store.RenewProperties(ctx, im.o.Object, im.token, im.o.Cause, im.o.At)
	if err != nil {
		return fmt.Errorf("hold on to the properties that were made: %w", err)
	}
	return nil
}

// keepProperties ends the mark of the properties that the import made, once a line is in.
func (im *importer) keepProperties(ctx context.Context) error {
	if im.renewal == nil || im.in() == 0 {
		return nil
	}
	im.renewal.end()
	im.renewal = nil
	if err := im.store.KeepProperties(ctx, im.o.Object, im.token, im.o.Cause, im.o.At); err != nil {
		return fmt.Errorf("keep the properties that were made: %w", err)
	}
	return nil
}

// in is how many lines are in the store.
func (im *importer) in() int { return im.report.Created + im.report.Updated + im.report.Unchanged }

// takeBack removes the properties that were made for lines of which none is in after all.
func (im *importer) takeBack(ctx context.Context) error {
	if im.token == "" || im.in() > 0 {
		return nil
	}
	gone, err := im.store.TakeBackProperties(context.WithoutCancel(ctx), im.o.Object, im.token, im.o.Cause, im.o.At)
	if err != nil {
		return fmt.Errorf("take back properties, of which no value went in: %w", err)
	}
	im.report.CreatedProperties = slices.DeleteFunc(im.report.CreatedProperties, func(p CreatedProperty) bool { return slices.Contains(gone, p.Name) })
	return nil
}

// renewal gives signs of life of an import that made properties, until it ends. nil has ended.
type renewal struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func startRenewal(ctx context.Context, renew func(context.Context) error) *renewal {
	ctx, cancel := context.WithCancel(ctx)
	r := &renewal{cancel, make(chan struct{})}
	go func() {
		defer close(r.done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(record.PendingPatience / 3):
				_ = renew(ctx) // a store that is out of reach fails the import itself, and one sign in three is enough
			}
		}
	}()
	return r
}

// end returns when the last sign of life was given.
func (r *renewal) end() {
	if r != nil {
		r.cancel()
		<-r.done
	}
}
