/* SPDX-License-Identifier: Apache-2.0
 *
 * check/state.h - what the passes share: private to check/
 */
#pragma once

#include "check/check.h"
#include "kv/kv.h"
#include "record/extent.h"
#include "record/keys.h"
#include "table/schema.h"

/* Within a table: a directory, a record, or a data id. */
typedef struct {
	uint32_t table;
	uint64_t id;
} MneCheckId;

typedef struct {
	MneTable schema;
	bool live; /* under a TABLE key; otherwise only retained */
	GBytes *name;
} MneTableFact;

typedef struct {
	MneCheckId id;
	bool has_node;
	uint64_t entries, parent; /* as the node says */
	uint32_t nlink;
	GBytes *name; /* as the node says */
	uint64_t counted, subdirs; /* entries seen */
	uint32_t refs; /* names seen */
} MneDirFact;

typedef struct {
	MneCheckId id;
	bool has_node;
	uint32_t nlink; /* as the node says */
	uint32_t names; /* seen */
} MneFileFact;

typedef struct {
	MneStore *store; /* borrowed, as kv and blob */
	MneKv *kv;
	MneBlobStore *blob;
	bool repair, full;
	const char *pass; /* id of the one running */
	MneKvBatch *batch; /* repairs not applied yet */
	bool shows; /* some of these change what tables show */
	MneCheckReport *report;

	GHashTable *tables; /* id -> MneTableFact */
	GHashTable *dirs; /* MneCheckId -> MneDirFact */
	GHashTable *files; /* MneCheckId -> MneFileFact: those under INODE keys */
	GHashTable *data; /* set of MneCheckId: data ids somebody names */
	GHashTable *live; /* of these, the ones that live inodes name */
	GHashTable *big; /* set of MneCheckId: records with big attributes */
	GHashTable *segments; /* segment id -> int64_t: bytes of its extents */
	GHashTable *seqs; /* set of seqs of checkpoints */
	GHashTable *marks; /* set of seqs of bookmarks */
	unsigned searches; /* for names of damaged files: each goes over a table */
} MneCheck;

/* check.c: a finding. */
void mne_check_say(MneCheck *check, bool mended, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

/* Every key of a kind that parses, in order.  func: 0, or a failure that ends it. */
typedef int (*MneCheckFunc)(MneCheck *check, MneSlice key, const MneKeyParts *parts,
			    MneSlice value);
int mne_check_each(MneCheck *check, MneTag tag, MneCheckFunc func) MNE_CHECKED;

/* Repairs: nothing without check->repair; they return whether it was on. */
bool mne_check_put(MneCheck *check, MneSlice key, GBytes *value);
bool mne_check_del(MneCheck *check, MneSlice key);
/* The same, but checkpoints keep what is taken away. */
bool mne_check_del_kept(MneCheck *check, MneSlice key, MneSlice value);

/* passes.c: a name was put into a directory. */
void mne_check_adopt(MneCheck *check, MneCheckId parent, bool is_dir);
bool mne_check_has_key(MneCheck *check, const MneKey *key);
/* passes.c: rewrite a directory's inode with the name and parent given; made anew when it
 * is lost. */
bool mne_mend_dir(MneCheck *check, MneDirFact *dir, uint64_t parent, MneSlice name);

/* rescue.c: give something a name again, lost-ID if need be; false when nothing was done. */
bool mne_rescue_table(MneCheck *check, uint32_t table);
/* The extents of a data id, up to `end`, `stored` bytes of them: a file. */
bool mne_rescue_data(MneCheck *check, MneCheckId data, uint64_t end, uint64_t stored);
/* passes_frags.c: a logical key of a name becomes where it stands in the store. */
void mne_check_route(MneCheck *check, MneKey *key);

/* facts.c */
void mne_facts_init(MneCheck *check);
void mne_facts_clear(MneCheck *check);
void mne_fact_keep_table(MneCheck *check, const MneTable *schema, MneSlice name,
			 bool live);
MneTableFact *mne_fact_table(MneCheck *check, uint32_t table);
MneDirFact *mne_fact_dir(MneCheck *check, uint32_t table, uint64_t dir, bool make);
MneFileFact *mne_fact_file(MneCheck *check, uint32_t table, uint64_t rec, bool make);
void mne_fact_add(GHashTable *set, uint32_t table, uint64_t id);
bool mne_fact_has(GHashTable *set, uint32_t table, uint64_t id);
void mne_fact_add_live(MneCheck *check, uint64_t segment, int64_t bytes);

/* path.c: new strings, for people: "users/bob/letters", and with name behind it. */
char *mne_path_of_dir(MneCheck *check, uint32_t table, uint64_t dir);
char *mne_path_of_name(MneCheck *check, uint32_t table, uint64_t dir, MneSlice name);
/* The file that has these bytes; of many damaged ones only the first are looked for.
 * history becomes true when it is a checkpoint's alone. */
char *mne_path_of_data(MneCheck *check, uint32_t table, uint64_t data,
		       bool *io_history);

/* scan.c, passes.c, passes_data.c */
#define MNE_PASS(function, id, when, sentence) \
	int mne_pass_##function(MneCheck *check) MNE_CHECKED;
#include "check/passes.def"
#undef MNE_PASS
