-- invops: breaks-old
ALTER TABLE entry DROP COLUMN memo;
