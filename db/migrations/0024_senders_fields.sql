-- Breakers of dedicated IPs, and the fields of spec 003 that domains and IPs did not have.

-- What an IP has of its own (a log-in, a server, a pool) has a breaker of its own: its failure says nothing about the
-- provider. The nil UUID = not one of an IP.
ALTER TABLE breakers ADD COLUMN ip_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  DROP CONSTRAINT breakers_pkey, ADD PRIMARY KEY (workspace_id, provider_id, identity_id, ip_id);

-- What is to be published in the DNS for a domain, as its operators noted it: lists of {type, name, value}.
ALTER TABLE sending_domains
  ADD COLUMN dns_records jsonb NOT NULL DEFAULT '{"spf": [], "dkim": [], "dmarc": [], "return_path": []}',
  ADD COLUMN is_default boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX sending_domains_default ON sending_domains (workspace_id) WHERE is_default;

-- State of warming up; written by whatever warms, which then sets daily_limit too: that alone is what routing obeys.
ALTER TABLE sending_domains
  ADD COLUMN warming_status text NOT NULL DEFAULT 'NOT_STARTED'
    CHECK (warming_status IN ('NOT_STARTED', 'IN_PROGRESS', 'PAUSED', 'COMPLETED')),
  ADD COLUMN warming_schedule_id uuid,
  ADD COLUMN warming_started_at timestamptz,
  -- Counted from 1.
  ADD COLUMN warming_day integer CHECK (warming_day > 0);
ALTER TABLE dedicated_ips
  ADD COLUMN warming_status text NOT NULL DEFAULT 'NOT_STARTED'
    CHECK (warming_status IN ('NOT_STARTED', 'IN_PROGRESS', 'PAUSED', 'COMPLETED')),
  ADD COLUMN warming_schedule_id uuid,
  ADD COLUMN warming_started_at timestamptz,
  ADD COLUMN warming_day integer CHECK (warming_day > 0),
  -- What block lists said: a list of {list, listed, checked_at}.
  ADD COLUMN blacklist_status jsonb NOT NULL DEFAULT '[]';
