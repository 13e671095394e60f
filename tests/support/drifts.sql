-- A schema with one of everything that pg_dump writes, in names and bodies that are hard to read.
CREATE SCHEMA audit;
CREATE SCHEMA "Odd Schema";
CREATE EXTENSION pg_trgm VERSION '1.5';
CREATE EXTENSION hstore WITH SCHEMA audit;
CREATE EXTENSION citext;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN email AS citext CONSTRAINT email_ok CHECK (value ~ '@');
CREATE TYPE span AS RANGE (subtype = float8);
CREATE COLLATION by_number (provider = icu, locale = 'en-u-kn-true');
CREATE SEQUENCE ticket START 100 INCREMENT 5 CACHE 3;

CREATE TABLE customer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email email NOT NULL UNIQUE,
    name varchar(80) COLLATE "C" DEFAULT 'x''y;--' NOT NULL,
    mood mood DEFAULT 'ok',
    balance numeric(12, 2) DEFAULT 0 CHECK (balance >= 0),
    tags text[] DEFAULT ARRAY['a', 'b,c', '(']::text[],
    doc jsonb NOT NULL DEFAULT '{"a": ";"}',
    attrs audit.hstore,
    full_name text GENERATED ALWAYS AS (CASE WHEN name > '' THEN name || '!' ELSE 'none, (yet)' END) STORED,
    created timestamptz DEFAULT now()
);
ALTER TABLE customer ALTER doc SET STORAGE external, ALTER name SET STATISTICS 500;
ALTER TABLE customer SET (fillfactor = 70, autovacuum_enabled = false);
CREATE TABLE "Order Items" (
    "Order Id" bigint NOT NULL,
    "select" int,
    "a;b" text DEFAULT '--',
    "say ""hi"", -- Name: x; Type: TABLE" text,
    customer bigint REFERENCES customer (id) ON DELETE CASCADE ON UPDATE RESTRICT DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY ("Order Id", "select")
);
ALTER TABLE "Order Items" ADD CONSTRAINT later CHECK ("select" > 0) NOT VALID;
CREATE TABLE gadget (id serial PRIMARY KEY, label text, weight numeric(8, 2), code char(4));
CREATE INDEX gadget_label ON gadget (label);
CREATE INDEX gadget_code ON gadget (code);
CREATE TABLE swapped (a int, b int);
CREATE TABLE events (id bigint, at timestamptz NOT NULL, kind text) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE INDEX events_at ON events (at);
ALTER TABLE events ADD UNIQUE (at, id);
CREATE TABLE parent (a int NOT NULL);
CREATE TABLE child (b int) INHERITS (parent);
CREATE UNLOGGED TABLE cache (a int);
ALTER TABLE cache REPLICA IDENTITY FULL;
CREATE SEQUENCE cache_a OWNED BY cache.a;
CREATE TABLE booking (during tstzrange, EXCLUDE USING gist (during WITH &&));
CREATE TABLE typed OF pair (PRIMARY KEY (a));
CREATE TABLE "Odd Schema"."T" (a int);
CREATE INDEX ON "Odd Schema"."T" (a);
CREATE TABLE audit.log (line text);
CREATE INDEX customer_name_trgm ON customer USING gin (name gin_trgm_ops) WHERE mood = 'ok';
CREATE UNIQUE INDEX customer_lower ON customer (lower(name) text_pattern_ops DESC NULLS LAST) INCLUDE (id) WITH (fillfactor = 80);
ALTER TABLE customer CLUSTER ON customer_pkey;

CREATE VIEW rich WITH (security_barrier) AS SELECT id, name FROM customer WHERE balance > 100 WITH CHECK OPTION;
CREATE MATERIALIZED VIEW totals AS SELECT mood, sum(balance) AS total FROM customer GROUP BY 1 WITH NO DATA;
CREATE UNIQUE INDEX totals_mood ON totals (mood);
CREATE FUNCTION quoting(a int, b text DEFAULT 'x;y') RETURNS text LANGUAGE plpgsql AS $fn$
begin
  -- a comment; with a semicolon
  execute 'CREATE TABLE public.t (id int);';

  execute $q$ select '--' ; $q$;
  return E'it''s \\ $$';
--
-- Name: orders; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.orders (
    id integer
);


ALTER TABLE public.orders OWNER TO postgres;

end $fn$;
CREATE FUNCTION atomic(a int) RETURNS int LANGUAGE sql
BEGIN ATOMIC SELECT a; SELECT CASE WHEN a > 1 THEN 2 ELSE 3 END; END;
CREATE PROCEDURE bump(INOUT x int) LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS 'begin x := 1; end';
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$ begin return new; end $$;
CREATE TRIGGER renamed BEFORE UPDATE ON customer FOR EACH ROW WHEN (old.name IS DISTINCT FROM new.name)
    EXECUTE FUNCTION touched();
CREATE TRIGGER added AFTER INSERT ON customer FOR EACH STATEMENT EXECUTE FUNCTION touched();
ALTER TABLE customer DISABLE TRIGGER added;
CREATE FUNCTION watched() RETURNS event_trigger LANGUAGE plpgsql AS $$ begin end $$;
CREATE EVENT TRIGGER watching ON ddl_command_end WHEN TAG IN ('CREATE LANGUAGE') EXECUTE FUNCTION watched();
CREATE RULE twice AS ON INSERT TO "Order Items" DO ALSO (NOTIFY a; NOTIFY b);
CREATE AGGREGATE plus_all (int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq, commutator = ===);
CREATE OPERATOR === (leftarg = text, rightarg = text, function = texteq, commutator = ===);
CREATE CAST (pair AS text) WITH INOUT;
CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);
CREATE STATISTICS moods (dependencies) ON mood, balance FROM customer;

ALTER TABLE customer ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON customer FOR SELECT TO app_reader, app_writer USING (name = current_user);
GRANT SELECT, INSERT ON gadget TO app_writer;
GRANT SELECT (label) ON gadget TO app_reader;
GRANT USAGE ON SCHEMA audit TO app_reader;
REVOKE EXECUTE ON FUNCTION atomic FROM public;
GRANT EXECUTE ON FUNCTION atomic TO app_writer;
ALTER DEFAULT PRIVILEGES IN SCHEMA audit GRANT SELECT ON TABLES TO app_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE app_writer GRANT SELECT ON TABLES TO app_reader;
ALTER TABLE swapped OWNER TO app_writer;

CREATE PUBLICATION changes FOR TABLE customer (id, name), "Order Items" WHERE ("select" > 1);
CREATE FOREIGN DATA WRAPPER far;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER far OPTIONS (host 'x');
CREATE FOREIGN TABLE distant (a int OPTIONS (n 'a')) SERVER elsewhere;
CREATE USER MAPPING FOR app_reader SERVER elsewhere OPTIONS (user 'u', password 'hidden-password');
COMMENT ON TABLE customer IS 'cust;
-- Name: x; Type: TABLE; Schema: y; Owner: z
--

it''s';
COMMENT ON COLUMN customer.name IS 'as they want to be called';
COMMENT ON CONSTRAINT customer_email_key ON customer IS 'one account each';
