CREATE TABLE `generations` (
	`id` text PRIMARY KEY NOT NULL,
	`project_id` text NOT NULL,
	`key_id` text NOT NULL,
	`end_user` text,
	`preset_slug` text,
	`preset_version` integer,
	`model` text NOT NULL,
	`dialect` text NOT NULL,
	`choices` integer NOT NULL,
	`attributes` text,
	`streamed` integer NOT NULL,
	`state` text NOT NULL,
	`error` text,
	`prompt_tokens` integer NOT NULL,
	`completion_tokens` integer NOT NULL,
	`usage_known` integer NOT NULL,
	`created_at` integer NOT NULL,
	`first_byte_ms` integer,
	`duration_ms` integer NOT NULL,
	`request_id` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `generations_project` ON `generations` (`project_id`,`created_at`,`id`);