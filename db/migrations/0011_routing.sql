-- What mail is sent from and through: domains, identities, dedicated IPs, pools; and what an approval says about it.

CREATE TABLE sending_domains (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  domain text NOT NULL,
  subdomain text NOT NULL DEFAULT '',
  -- The right part of From addresses.
  host text NOT NULL GENERATED ALWAYS AS (CASE WHEN subdomain = '' THEN domain ELSE subdomain || '.' || domain END) STORED,
  status text NOT NULL DEFAULT 'PENDING'
    CHECK (status IN ('PENDING', 'VERIFYING', 'VERIFIED', 'FAILED', 'PAUSED', 'WARMING', 'ACTIVE')),
  -- Most messages per workspace-local day; NULL = unlimited.
  daily_limit integer CHECK (daily_limit > 0),
  default_from_name text NOT NULL DEFAULT '',
  default_reply_to text,
  -- 0 to 100; NULL = not measured.
  health_score numeric CHECK (health_score BETWEEN 0 AND 100),
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  CONSTRAINT sending_domains_host UNIQUE (workspace_id, host)
);

-- Which providers may send for a domain: its SPF record names them, and they sign with its DKIM key. A domain with
-- none is not checked; with one, mail from it takes no other.
CREATE TABLE sending_domain_providers (
  workspace_id uuid NOT NULL,
  domain_id uuid NOT NULL,
  provider_id uuid NOT NULL,
  dkim boolean NOT NULL,
  spf boolean NOT NULL,
  PRIMARY KEY (workspace_id, domain_id, provider_id),
  FOREIGN KEY (workspace_id, domain_id) REFERENCES sending_domains (workspace_id, id) ON DELETE CASCADE,
  CONSTRAINT sending_domain_providers_provider FOREIGN KEY (workspace_id, provider_id) REFERENCES providers (workspace_id, id)
);

-- How well mail of a domain does at one mailbox-provider group, 0 to 100; takes the place of its health for them.
CREATE TABLE isp_metrics (
  workspace_id uuid NOT NULL,
  domain_id uuid NOT NULL,
  mx_group text NOT NULL,
  score numeric NOT NULL CHECK (score BETWEEN 0 AND 100),
  measured_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, domain_id, mx_group),
  FOREIGN KEY (workspace_id, domain_id) REFERENCES sending_domains (workspace_id, id) ON DELETE CASCADE
);

-- Any From address that was used has a row, since routes refer to it; `declared` ones were made by an operator.
ALTER TABLE sending_identities
  ADD COLUMN display_name text NOT NULL DEFAULT '',
  ADD COLUMN reply_to text,
  ADD COLUMN domain_id uuid,
  ADD COLUMN declared boolean NOT NULL DEFAULT false,
  ADD COLUMN is_default boolean NOT NULL DEFAULT false,
  ADD COLUMN is_active boolean NOT NULL DEFAULT true,
  ADD COLUMN version integer NOT NULL DEFAULT 1,
  ADD COLUMN created_by uuid,
  ADD COLUMN updated_at timestamptz NOT NULL DEFAULT sally_now(),
  ADD CONSTRAINT sending_identities_domain FOREIGN KEY (workspace_id, domain_id) REFERENCES sending_domains (workspace_id, id);
CREATE UNIQUE INDEX sending_identities_default ON sending_identities (workspace_id) WHERE is_default;

CREATE TABLE dedicated_ips (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  -- Whose IP it is.
  provider_id uuid NOT NULL,
  ip_address inet NOT NULL CHECK (masklen(ip_address) = CASE family(ip_address) WHEN 4 THEN 32 ELSE 128 END),
  -- Its PTR record.
  hostname text,
  -- What makes the provider use it: values that take the place of the provider's own settings.
  egress jsonb NOT NULL DEFAULT '{}',
  status text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('PAUSED', 'WARMING', 'ACTIVE')),
  daily_limit integer CHECK (daily_limit > 0),
  health_score numeric CHECK (health_score BETWEEN 0 AND 100),
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  CONSTRAINT dedicated_ips_address UNIQUE (workspace_id, provider_id, ip_address),
  CONSTRAINT dedicated_ips_provider FOREIGN KEY (workspace_id, provider_id) REFERENCES providers (workspace_id, id)
);

CREATE TABLE sending_pools (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  description text NOT NULL DEFAULT '',
  strategy text NOT NULL DEFAULT 'priority' CHECK (strategy IN ('round-robin', 'weighted', 'priority')),
  is_default boolean NOT NULL DEFAULT false,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  -- Kept for the campaigns that were sent through it; its members go.
  deleted_at timestamptz,
  PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX sending_pools_name ON sending_pools (workspace_id, name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX sending_pools_default ON sending_pools (workspace_id) WHERE is_default;

CREATE TABLE sending_pool_members (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  pool_id uuid NOT NULL,
  provider_id uuid NOT NULL,
  -- NULL = the From address of the message itself.
  identity_id uuid,
  ip_id uuid,
  weight integer NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000),
  priority integer NOT NULL DEFAULT 5 CHECK (priority BETWEEN 1 AND 100),
  -- Mailbox-provider groups it is meant for; empty = all.
  mx_groups text[] NOT NULL DEFAULT '{}',
  PRIMARY KEY (workspace_id, id),
  CONSTRAINT sending_pool_members_once UNIQUE NULLS NOT DISTINCT (workspace_id, pool_id, provider_id, identity_id, ip_id),
  FOREIGN KEY (workspace_id, pool_id) REFERENCES sending_pools (workspace_id, id) ON DELETE CASCADE,
  CONSTRAINT sending_pool_members_provider FOREIGN KEY (workspace_id, provider_id) REFERENCES providers (workspace_id, id),
  CONSTRAINT sending_pool_members_identity FOREIGN KEY (workspace_id, identity_id) REFERENCES sending_identities (workspace_id, id),
  CONSTRAINT sending_pool_members_ip FOREIGN KEY (workspace_id, ip_id) REFERENCES dedicated_ips (workspace_id, id)
);

-- A route is provider × identity × dedicated IP or none; it outlives provider and IP, since ledger rows refer to it.
ALTER TABLE routes
  ADD COLUMN ip_id uuid,
  DROP CONSTRAINT routes_workspace_id_provider_id_identity_id_key,
  ADD CONSTRAINT routes_once UNIQUE NULLS NOT DISTINCT (workspace_id, provider_id, identity_id, ip_id);

ALTER TABLE campaigns
  ADD COLUMN sending_pool_id uuid,
  ADD COLUMN sending_identity_id uuid,
  -- {strategy?, preferred_providers?, fallback_enabled?}
  ADD COLUMN routing_config jsonb,
  ADD CONSTRAINT campaigns_sending_pool FOREIGN KEY (workspace_id, sending_pool_id) REFERENCES sending_pools (workspace_id, id),
  ADD CONSTRAINT campaigns_sending_identity FOREIGN KEY (workspace_id, sending_identity_id) REFERENCES sending_identities (workspace_id, id);

-- What an approval permits of pools, senders and routing; NULL = the message's own From, by any provider in order.
-- pool_id names no foreign key: a frozen message outlives its pool.
ALTER TABLE messages ADD COLUMN routing jsonb;

SELECT sally_protect_table('sending_domains');
SELECT sally_protect_table('sending_domain_providers');
SELECT sally_protect_table('isp_metrics');
SELECT sally_protect_table('dedicated_ips');
SELECT sally_protect_table('sending_pools');
SELECT sally_protect_table('sending_pool_members');
GRANT SELECT, INSERT, UPDATE, DELETE ON sending_domains, sending_domain_providers, isp_metrics, dedicated_ips, sending_pools,
  sending_pool_members TO sally_api, sally_worker;

-- What MX look-ups said of recipient domains that mail_domains does not know; for routing only, for all workspaces.
CREATE TABLE mx_lookups (
  domain text PRIMARY KEY,
  mx_group text NOT NULL,
  looked_up_at timestamptz NOT NULL DEFAULT sally_now()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON mx_lookups TO sally_worker;
