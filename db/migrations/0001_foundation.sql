-- Foundation: time, identifiers and the workspace of the current transaction.
-- Run as sally_owner. Roles are made by db/provision.ts, since they belong to the cluster, not to the database.

-- Empty outside tests: tests move time by inserting one row (design, section 3 "Time").
CREATE TABLE test_clock (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  moved_by interval NOT NULL
);

-- The one clock of all rules. Declared STABLE so that a comparison with it can use an index: within one
-- statement the first value is as good as any later one.
CREATE FUNCTION sally_now() RETURNS timestamptz
  LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT clock_timestamp() + coalesce((SELECT moved_by FROM test_clock), interval '0') $$;

-- The smallest UUIDv7 of a moment (RFC 9562, section 5.7): bounds of partitions and of look-ups by time.
CREATE FUNCTION sally_uuid_v7_floor(moment timestamptz) RETURNS uuid
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS $$
    SELECT (substr(digits, 1, 8) || '-' || substr(digits, 9, 4) || '-7000-8000-000000000000')::uuid
    FROM (SELECT lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0') AS digits) AS t
  $$;

-- UUIDv7 with 12 bits of sub-millisecond time; PostgreSQL has one of its own only from 18 on.
CREATE FUNCTION sally_uuid_v7() RETURNS uuid
  LANGUAGE sql VOLATILE PARALLEL SAFE
  AS $$
    SELECT encode(
      set_byte(
        set_byte(
          overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send(floor(micros / 1000)::bigint) FROM 3) FROM 1 FOR 6),
          6, 112 | ((sub >> 8)::int & 15)),
        7, (sub & 255)::int),
      'hex')::uuid
    FROM (
      SELECT micros, floor((micros % 1000) * 4.096)::bigint AS sub
      FROM (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros) AS c
    ) AS t
  $$;

-- The moment in a UUIDv7.
CREATE FUNCTION sally_uuid_v7_time(id uuid) RETURNS timestamptz
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS $$ SELECT to_timestamp(('x' || lpad(translate(substr(id::text, 1, 13), '-', ''), 16, '0'))::bit(64)::bigint / 1000.0) $$;

-- The workspace that the API's transaction works for; NULL outside one, so every policy refuses.
CREATE FUNCTION sally_workspace() RETURNS uuid
  LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(current_setting('sally.workspace', true), '')::uuid $$;

-- What belongs to the installation, not to a workspace (the fallback sender), is keyed by the nil UUID.
CREATE FUNCTION sally_installation() RETURNS uuid
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS $$ SELECT '00000000-0000-0000-0000-000000000000'::uuid $$;
