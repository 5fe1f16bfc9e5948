-- An SQLite database as the last revision from before the first release, 0010, has made it.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0010');
CREATE TABLE audit (
	id INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	verb VARCHAR(16) NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	image_id VARCHAR(36), 
	user_id VARCHAR(255), 
	project_id VARCHAR(255), 
	token_id VARCHAR(64), 
	address VARCHAR(64), 
	request_id VARCHAR(80), 
	agent VARCHAR(16) NOT NULL, 
	detail TEXT NOT NULL, 
	CONSTRAINT pk_audit PRIMARY KEY (id)
);
CREATE TABLE findings (
	id VARCHAR(36) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	store VARCHAR(63) NOT NULL, 
	image_id VARCHAR(36), 
	subject VARCHAR(1024) NOT NULL, 
	detail TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	found_at DATETIME NOT NULL, 
	seen_at DATETIME NOT NULL, 
	closed_at DATETIME, 
	CONSTRAINT pk_findings PRIMARY KEY (id)
);
CREATE TABLE image_locations (
	"key" VARCHAR(80) NOT NULL, 
	image_id VARCHAR(36) NOT NULL, 
	store VARCHAR(63) NOT NULL, 
	location VARCHAR(1024), 
	state VARCHAR(16) NOT NULL, 
	external BOOLEAN NOT NULL, 
	created_at DATETIME NOT NULL, counted BIGINT DEFAULT '0' NOT NULL, lease_owner VARCHAR(36), lease_until DATETIME, on_failure VARCHAR(16), checked_at DATETIME, quarantined_at DATETIME, 
	CONSTRAINT pk_image_locations PRIMARY KEY ("key"), 
	CONSTRAINT fk_image_locations_image_id_images FOREIGN KEY(image_id) REFERENCES images (id)
);
CREATE TABLE image_members (
	image_id VARCHAR(36) NOT NULL, 
	project VARCHAR(255) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	can_share BOOLEAN NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_image_members PRIMARY KEY (image_id, project), 
	CONSTRAINT fk_image_members_image_id_images FOREIGN KEY(image_id) REFERENCES images (id)
);
CREATE TABLE image_properties (
	image_id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_image_properties PRIMARY KEY (image_id, name), 
	CONSTRAINT fk_image_properties_image_id_images FOREIGN KEY(image_id) REFERENCES images (id)
);
CREATE TABLE image_tags (
	image_id VARCHAR(36) NOT NULL, 
	tag VARCHAR(255) NOT NULL, 
	CONSTRAINT pk_image_tags PRIMARY KEY (image_id, tag), 
	CONSTRAINT fk_image_tags_image_id_images FOREIGN KEY(image_id) REFERENCES images (id)
);
CREATE TABLE "images" (
	id VARCHAR(36) NOT NULL, 
	name VARCHAR(255), 
	status VARCHAR(16) NOT NULL, 
	status_reason TEXT, 
	visibility VARCHAR(16) NOT NULL, 
	protected BOOLEAN NOT NULL, 
	owner VARCHAR(255), 
	disk_format VARCHAR(20), 
	container_format VARCHAR(20), 
	min_disk INTEGER NOT NULL, 
	min_ram INTEGER NOT NULL, 
	size BIGINT, 
	checksum VARCHAR(32), 
	os_hash_algo VARCHAR(64), 
	os_hash_value VARCHAR(128), 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	os_hidden BOOLEAN DEFAULT 0 NOT NULL, 
	virtual_size BIGINT, 
	detected_format VARCHAR(20), 
	deleted_from VARCHAR(16), activated_at DATETIME, 
	CONSTRAINT pk_images PRIMARY KEY (id)
);
CREATE TABLE jobs (
	id VARCHAR(36) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	image_id VARCHAR(36) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	job_order JSON NOT NULL, 
	outcome JSON NOT NULL, 
	message TEXT NOT NULL, 
	owner VARCHAR(255), 
	job_user VARCHAR(255), 
	request_id VARCHAR(80) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	lease_owner VARCHAR(36), 
	lease_until DATETIME, not_before DATETIME, waiting_since DATETIME, 
	CONSTRAINT pk_jobs PRIMARY KEY (id), 
	CONSTRAINT fk_jobs_image_id_images FOREIGN KEY(image_id) REFERENCES images (id)
);
CREATE TABLE metadef_definitions (
	namespace_id INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	body JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_metadef_definitions PRIMARY KEY (namespace_id, kind, name), 
	CONSTRAINT fk_metadef_definitions_namespace_id_metadef_namespaces FOREIGN KEY(namespace_id) REFERENCES metadef_namespaces (id)
);
CREATE TABLE metadef_namespaces (
	id INTEGER NOT NULL, 
	namespace VARCHAR(80) NOT NULL, 
	display_name VARCHAR(80), 
	description TEXT, 
	visibility VARCHAR(16) NOT NULL, 
	protected BOOLEAN NOT NULL, 
	owner VARCHAR(255), 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_metadef_namespaces PRIMARY KEY (id), 
	CONSTRAINT uq_metadef_namespaces_namespace UNIQUE (namespace)
);
CREATE TABLE metadef_resource_types (
	name VARCHAR(80) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_metadef_resource_types PRIMARY KEY (name)
);
INSERT INTO "metadef_resource_types" VALUES('OS::Cinder::Volume','2026-11-30 03:59:08.804906','2026-11-30 03:59:08.804906');
INSERT INTO "metadef_resource_types" VALUES('OS::Glance::Image','2026-11-30 03:59:08.804906','2026-11-30 03:59:08.804906');
INSERT INTO "metadef_resource_types" VALUES('OS::Nova::Aggregate','2026-11-30 03:59:08.804906','2026-11-30 03:59:08.804906');
INSERT INTO "metadef_resource_types" VALUES('OS::Nova::Flavor','2026-11-30 03:59:08.804906','2026-11-30 03:59:08.804906');
INSERT INTO "metadef_resource_types" VALUES('OS::Nova::Server','2026-11-30 03:59:08.804906','2026-11-30 03:59:08.804906');
CREATE TABLE processes (
	id VARCHAR(36) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	pid INTEGER NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	started_at DATETIME NOT NULL, 
	seen_at DATETIME NOT NULL, 
	CONSTRAINT pk_processes PRIMARY KEY (id)
);
CREATE TABLE project_usage (
	project VARCHAR(255) NOT NULL, 
	bytes BIGINT NOT NULL, 
	images INTEGER NOT NULL, 
	CONSTRAINT pk_project_usage PRIMARY KEY (project)
);
CREATE TABLE registry_identity (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_registry_identity PRIMARY KEY (id)
);
INSERT INTO "registry_identity" VALUES('7055522b-670a-4e85-b652-e3dbecc23427','2026-11-30 03:59:08.818140');
CREATE TABLE scrubs (
	store VARCHAR(63) NOT NULL, 
	lease_owner VARCHAR(36), 
	lease_until DATETIME, 
	began_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	checked INTEGER NOT NULL, 
	failed INTEGER NOT NULL, 
	stopped TEXT, 
	CONSTRAINT pk_scrubs PRIMARY KEY (store)
);
CREATE INDEX ix_image_locations_image_id ON image_locations (image_id);
CREATE INDEX ix_images_listing ON images (visibility, deleted_at, created_at, id);
CREATE INDEX ix_images_owner ON images (owner, deleted_at, created_at, id);
CREATE INDEX ix_images_all ON images (deleted_at, created_at, id);
CREATE INDEX ix_image_locations_lease ON image_locations (state, lease_until);
CREATE INDEX ix_image_locations_location ON image_locations (store, location);
CREATE INDEX ix_image_properties_name ON image_properties (name);
CREATE INDEX ix_image_tags_tag ON image_tags (tag);
CREATE INDEX ix_image_members_project ON image_members (project, status);
CREATE INDEX ix_jobs_open ON jobs (status, created_at);
CREATE INDEX ix_jobs_image_id ON jobs (image_id, created_at);
CREATE INDEX ix_findings_state ON findings (state, store, kind);
CREATE INDEX ix_findings_image_id ON findings (image_id);
CREATE INDEX ix_image_locations_checked ON image_locations (store, state, checked_at);
CREATE INDEX ix_audit_image_id ON audit (image_id);
CREATE INDEX ix_audit_created_at ON audit (created_at);
COMMIT;
