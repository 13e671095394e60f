CREATE INDEX entry_account ON entry (account);

CREATE FUNCTION balance(of text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(cents), 0) FROM entry WHERE account = of;
$$;
