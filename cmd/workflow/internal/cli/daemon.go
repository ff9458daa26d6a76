package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/outbox"
	"github.com/crm-workflow/crm-workflow/workflow/queue"
)

const defaultListen = "127.0.0.1:9464"

func daemonCommand(s *session) *cobra.Command {
	var listen, logFormat string
	var log *slog.Logger
	var grace, pauseAbove time.Duration
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: mends},
		Use:         "daemon [--listen ADDR] [--grace 30s] [--pause-above 250ms] [--log-format text|json]", Short: "run published workflows on their schedules, until signalled",
		Long: "daemon starts the runs of all published workflows at their times, goes on with runs that were interrupted, and\n" +
			"serves /metrics for Prometheus, /healthz (the process is alive) and /readyz (the store answers and runs are\n" +
			"scheduled). It removes records for good that have been in the recycle bin for 90 days. Several daemons may\n" +
			"work on one store. The acting user must be a user of the account; while that user is removed from it, the daemon does\n" +
			"nothing. On SIGINT or SIGTERM it is no longer ready, takes nothing new, finishes the batches in hand and\n" +
			"hands the rest of its runs back; it ends within the grace period. A second signal ends it at once.",
		Example: "  workflow daemon\n  workflow daemon --listen 0.0.0.0:9464 --log-format json\n  workflow daemon --listen none",
		Args:    noArgs,
		RunE: s.work(needs{check: func([]string) (err error) {
			if grace < 0 {
				return usagef("", "--grace %s: want 0s or more", grace)
			}
			if pauseAbove < 0 {
				return usagef("0s = never", "--pause-above %s: want 0s or more", pauseAbove)
			}
			log, err = newLogger(s, logFormat)
			return err
		}}, func(ctx context.Context, w *work) error {
			if err := w.store.Check(ctx, ""); err != nil { // whoever is no user of the account starts nothing in it
				return err
			}
			// It carries out what others published, each workflow as its publisher.
			d := newDaemon(w.store.AsSystem(), log, w.env(mailPassword))
			d.health.Acting = w.store.User()
			if d.scheduler.Runner.PauseAbove = pauseAbove; pauseAbove == 0 {
				d.scheduler.Runner.PauseAbove = -1
			}
			return graceful(ctx, grace, d.leaving, func(ctx context.Context) error { return d.run(ctx, listen) })
		}),
	}
	cmd.Flags().StringVar(&listen, "listen", defaultListen, "address of /metrics, /healthz and /readyz; none = no server")
	cmd.Flags().DurationVar(&grace, "grace", defaultGrace, "how long it may take to stop, after a first signal")
	cmd.Flags().DurationVar(&pauseAbove, "pause-above", workflow.DefaultPauseAbove, "deletions pause while the store takes longer than this to answer; 0s = never")
	cmd.Flags().StringVar(&logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	_ = cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions([]string{formatText, formatJSON}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func newLogger(s *session, format string) (*slog.Logger, error) {
	if format == "" {
		format = formatJSON
		if s.err.terminal {
			format = formatText
		}
	}
	switch format {
	case formatText:
		return slog.New(slog.NewTextHandler(s.err, nil)), nil
	case formatJSON:
		return slog.New(slog.NewJSONHandler(s.err, nil)), nil
	}
	return nil, usagef("write --log-format text or --log-format json", "--log-format %q is not known", format)
}

// daemon is a scheduler with a server that tells about it.
type daemon struct {
	store     *crmstore.Store
	log       *slog.Logger
	registry  *prometheus.Registry
	scheduler *workflow.Scheduler
	keeper    *workflow.Housekeeper
	mails     *outbox.Sender
	heartbeat *workflow.Heartbeat
	health    *workflow.Health
	working   atomic.Bool // the scheduler runs and was not told to stop
}

func newDaemon(store *crmstore.Store, log *slog.Logger, password string) *daemon {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics := workflow.NewMetrics(registry)
	health := &workflow.Health{Store: store.AsSystem(), Metrics: metrics, Log: log}
	runner := &workflow.Runner{Store: store, Metrics: metrics, Log: log, Owner: workflow.NewOwner(), Health: health}
	d := &daemon{
		store: store, log: log, registry: registry, scheduler: &workflow.Scheduler{Runner: runner}, health: health,
		keeper: &workflow.Housekeeper{Store: store, Metrics: metrics, Log: log, Health: health},
		mails:  mailSender(store.AsSystem(), password, log, metrics.Mail),
	}
	d.mails.May = health.Ask
	d.heartbeat = &workflow.Heartbeat{
		Store: store.AsSystem(), Log: log, Owner: runner.Owner, Version: buildVersion().Version, Stopping: func() bool { return !d.working.Load() }, Health: health,
	}
	return d
}

// shutdownTime bounds how long requests under way may take once the scheduler has stopped.
const shutdownTime = 5 * time.Second

// leaving makes /readyz say that nothing new is taken.
func (d *daemon) leaving() { d.working.Store(false) }

// run schedules and serves until ctx ends, then waits for the scheduler's last batch. The server answers until then,
// and says that it is not ready.
func (d *daemon) run(ctx context.Context, listen string) error {
	var listener net.Listener
	if listen != "none" {
		var err error
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", listen); err != nil {
			return failedf("choose another one with --listen, or none", "listen on %s: %v", listen, err)
		}
		d.log.InfoContext(ctx, "listening", slog.String("address", listener.Addr().String()))
	}
	server := d.server()
	group, ctx := errgroup.WithContext(ctx)
	d.working.Store(true)
	beats, gone := context.WithCancel(context.WithoutCancel(ctx)) // it is there until its last batch is over
	group.Go(func() error {
		d.log.InfoContext(ctx, "scheduling", slog.String("store", d.store.Describe()), slog.String("account", d.store.AccountName()))
		defer gone()
		err := d.schedule(ctx)
		d.working.Store(false)
		d.log.InfoContext(ctx, "stopped")
		// The requests under way get their own time: ctx has ended already.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		return errors.Join(err, server.Shutdown(last))
	})
	group.Go(func() error { return d.health.Run(ctx) })
	group.Go(func() error { return d.keeper.Run(ctx) })
	group.Go(func() error { return d.heartbeat.Run(beats) })
	group.Go(func() error { return d.mails.Run(ctx) })
	if listener != nil {
		group.Go(func() error {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", listen, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// schedule runs the scheduler, on a queue that other daemons share.
func (d *daemon) schedule(ctx context.Context) error {
	if d.store.Volatile() { // nobody else could be there to share with
		return d.scheduler.Run(ctx)
	}
	d.scheduler.Queue = queue.Open(d.store, d.log)
	return errors.Join(d.scheduler.Run(ctx), d.scheduler.Queue.Close())
}

// server is closed to slow and to large requests: it is meant for a scraper and a supervisor.
func (d *daemon) server() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.registry, promhttp.HandlerOpts{
		Registry: d.registry, EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", d.ready)
	return &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelWarn),
	}
}

// readyTime bounds how long the store may take to answer.
const readyTime = 2 * time.Second

func (d *daemon) ready(w http.ResponseWriter, r *http.Request) {
	if !d.working.Load() {
		http.Error(w, "not ready: the scheduler does not run", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
	defer cancel()
	if err := errors.Join(d.health.Ask(ctx), d.store.Ping(ctx)); err != nil { // of a cluster, Ping asks every master
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
