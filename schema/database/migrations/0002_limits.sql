-- A limit may be null now, which takes a new table. Nothing refers to this one, so no rows of others can be lost.
CREATE TABLE `__new_api_keys` (
	`id` text PRIMARY KEY NOT NULL,
	`project_id` text NOT NULL,
	`name` text NOT NULL,
	`kind` text DEFAULT 'secret' NOT NULL,
	`hash` text NOT NULL,
	`pepper_id` text,
	`previous_hash` text,
	`previous_expires_at` integer,
	`prefix` text,
	`last_four` text NOT NULL,
	`scopes` text DEFAULT '["chat","models:read","presets:read","presets:write"]' NOT NULL,
	`bounds` text DEFAULT '{"toxicity":{"locked":0}}' NOT NULL,
	`models` text,
	`presets` text,
	`origins` text DEFAULT '[]' NOT NULL,
	`requests_per_minute` integer,
	`tokens_per_minute` integer,
	`concurrent_generations` integer,
	`tokens_per_month` integer,
	`end_user_limits` text DEFAULT '{"requests_per_minute":null,"tokens_per_minute":null,"concurrent_generations":null,"tokens_per_month":null}' NOT NULL,
	`version` integer DEFAULT 1 NOT NULL,
	`created_at` integer DEFAULT (unixepoch()) NOT NULL,
	`expires_at` integer,
	`revoked_at` integer
);
--> statement-breakpoint
INSERT INTO `__new_api_keys`("id", "project_id", "name", "kind", "hash", "pepper_id", "previous_hash", "previous_expires_at", "prefix", "last_four", "scopes", "bounds", "models", "presets", "origins", "requests_per_minute", "tokens_per_minute", "version", "created_at", "expires_at", "revoked_at") SELECT "id", "project_id", "name", "kind", "hash", "pepper_id", "previous_hash", "previous_expires_at", "prefix", "last_four", "scopes", "bounds", "models", "presets", "origins", "requests_per_minute", "tokens_per_minute", "version", "created_at", "expires_at", "revoked_at" FROM `api_keys`;--> statement-breakpoint
DROP TABLE `api_keys`;--> statement-breakpoint
ALTER TABLE `__new_api_keys` RENAME TO `api_keys`;--> statement-breakpoint
CREATE UNIQUE INDEX `api_keys_hash_unique` ON `api_keys` (`hash`);--> statement-breakpoint
CREATE UNIQUE INDEX `api_keys_previous_hash_unique` ON `api_keys` (`previous_hash`);--> statement-breakpoint
CREATE INDEX `api_keys_project` ON `api_keys` (`project_id`);--> statement-breakpoint
ALTER TABLE `projects` ADD `requests_per_minute` integer;--> statement-breakpoint
ALTER TABLE `projects` ADD `tokens_per_minute` integer;--> statement-breakpoint
ALTER TABLE `projects` ADD `concurrent_generations` integer;--> statement-breakpoint
ALTER TABLE `projects` ADD `tokens_per_month` integer;--> statement-breakpoint
ALTER TABLE `projects` ADD `version` integer DEFAULT 1 NOT NULL;