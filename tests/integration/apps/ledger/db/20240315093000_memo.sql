ALTER TABLE entry ADD COLUMN memo text;
COMMENT ON COLUMN entry.memo IS 'free text; as the payer wrote it';
