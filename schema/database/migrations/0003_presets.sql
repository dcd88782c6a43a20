CREATE TABLE `preset_versions` (
	`project_id` text NOT NULL,
	`slug` text NOT NULL,
	`version` integer NOT NULL,
	`content` text NOT NULL,
	`note` text,
	`created_by` text,
	`created_at` integer DEFAULT (unixepoch()) NOT NULL,
	PRIMARY KEY(`project_id`, `slug`, `version`)
);
--> statement-breakpoint
-- What a preset holds today is its published version of that number. Earlier ones were never kept.
INSERT INTO `preset_versions`("project_id", "slug", "version", "content", "created_at") SELECT "project_id", "slug", "version", json_object('persona', "persona", 'attributes', json("attributes"), 'bounds', json("bounds"), 'variables', json('{}'), 'sampling', json('{}')), "updated_at" FROM `presets`;--> statement-breakpoint
CREATE TABLE `__new_presets` (
	`project_id` text NOT NULL,
	`slug` text NOT NULL,
	`version` integer DEFAULT 0 NOT NULL,
	`revision` integer DEFAULT 1 NOT NULL,
	`draft` text NOT NULL,
	`aliases` text DEFAULT '{}' NOT NULL,
	`created_at` integer DEFAULT (unixepoch()) NOT NULL,
	`updated_at` integer DEFAULT (unixepoch()) NOT NULL,
	`deleted_at` integer,
	PRIMARY KEY(`project_id`, `slug`)
);
--> statement-breakpoint
-- And it is what the draft starts from.
INSERT INTO `__new_presets`("project_id", "slug", "version", "revision", "draft", "created_at", "updated_at") SELECT "presets"."project_id", "presets"."slug", "presets"."version", "presets"."version", "content", "presets"."created_at", "updated_at" FROM `presets` JOIN `preset_versions` USING ("project_id", "slug");--> statement-breakpoint
DROP TABLE `presets`;--> statement-breakpoint
ALTER TABLE `__new_presets` RENAME TO `presets`;