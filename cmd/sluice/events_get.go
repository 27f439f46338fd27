package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

func eventsGetCommand(a *api) *cobra.Command {
	var q client.StoryQuery
	cmd := &cobra.Command{
		Use:   "get EVENT",
		Short: "Print an event, and whether each integration got it",
		Long: `Print one event, and for each integration what became of it and why:

  delivered     the receiver took it, or it is in a file in the bucket
  rejected      the receiver returned 400
  skipped       it was skipped via the API
  retrying      it was tried, and failed
  pending       it will be sent
  filtered      the integration's filter does not pass it
  before_start  it was published before what the integration gets
  after_end     it was published after the end of the replay
  stopped       it waits for a start of the integration
  expired       the integration was stopped for longer than the retention

An id that Sluice made tells when the event was published. For another id say it with
--published-at, to within an hour, or with --from and --to, at most 24 hours apart. If
an id was published more than once, --published-at tells which one you mean.`,
		Example: `  sluice events get 0198a2f4-7c1e-7b3a-9d52-3f6c0f7a1b2c
  sluice events get 6f1c4f0e-93a5-4b1c-8a5e-2d4b8a3f9c10 --published-at 2026-01-31T12:00:00Z
  sluice events get 6f1c4f0e-93a5-4b1c-8a5e-2d4b8a3f9c10 --from 2026-01-31T00:00:00Z --to 2026-01-31T23:59:59Z --json`,
		Args:              exactArgs("EVENT"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			told, err := c.Story(cmd.Context(), args[0], q)
			if err != nil {
				return err
			}
			return a.showStory(&told)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&q.PublishedAt, "published-at", "", "about when it was published, as an RFC 3339 time")
	flags.StringVar(&q.From, "from", "", "it was published at this RFC 3339 time or later")
	flags.StringVar(&q.To, "to", "", "it was published at this RFC 3339 time or earlier")
	return cmd
}

// showStory prints what became of an event.
func (a *api) showStory(s *client.Story) error {
	if a.asJSON {
		return printJSON(a.env.out, s)
	}
	err := printTable(a.env.out, [][]string{
		{"event", s.Event.ID},
		{"name", s.Event.Name},
		{"published at", s.Event.PublishedAt},
		{"payload", string(s.Event.Payload)},
	})
	if err != nil {
		return err
	}
	if err := a.say(""); err != nil {
		return err
	}
	if len(s.Integrations) == 0 {
		return a.say("There is no integration that could get it.")
	}
	rows := [][]string{{"INTEGRATION", "VERDICT", "BECAUSE"}}
	for _, c := range s.Integrations {
		rows = append(rows, []string{c.ID, strings.ReplaceAll(c.Verdict, "_", " "), c.Because})
	}
	return printTable(a.env.out, rows)
}
