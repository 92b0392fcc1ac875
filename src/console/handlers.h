/* console/handlers.h - what each route is answered by; routes.c has the table. */
#pragma once

#include "console/request.h"

/* health.c */
void health_get_alive(struct request *r, struct reply *reply);
void health_get_ready(struct request *r, struct reply *reply);
/* metrics.c */
void metrics_get(struct request *r, struct reply *reply);
/* api_session.c */
void session_get(struct request *r, struct reply *reply);
void session_post(struct request *r, struct reply *reply);
void session_delete(struct request *r, struct reply *reply);
void setup_post(struct request *r, struct reply *reply);
void link_post(struct request *r, struct reply *reply);
void token_post(struct request *r, struct reply *reply);
void audit_get(struct request *r, struct reply *reply);
/* api_instance.c */
void instance_get(struct request *r, struct reply *reply);
/* api_diagnose.c */
void check_post(struct request *r, struct reply *reply);
void explain_post(struct request *r, struct reply *reply);
void job_events_get(struct request *r, struct reply *reply);
void job_delete(struct request *r, struct reply *reply);
/* api_upstream.c */
void upstream_get(struct request *r, struct reply *reply);
void upstream_validate_post(struct request *r, struct reply *reply);
void upstream_put(struct request *r, struct reply *reply);
/* api_access.c */
void access_get(struct request *r, struct reply *reply);
void access_test_post(struct request *r, struct reply *reply);
/* api_accounts.c */
void accounts_get_all(struct request *r, struct reply *reply);
void accounts_notice_post(struct request *r, struct reply *reply);
void accounts_post(struct request *r, struct reply *reply);
void account_put(struct request *r, struct reply *reply);
void account_delete(struct request *r, struct reply *reply);
/* api_configuration.c */
void configuration_get(struct request *r, struct reply *reply);
void configuration_version_get(struct request *r, struct reply *reply);
void configuration_check_post(struct request *r, struct reply *reply);
void configuration_put(struct request *r, struct reply *reply);
/* api_flows.c */
void flows_get(struct request *r, struct reply *reply);
void flow_get(struct request *r, struct reply *reply);
void charts_get(struct request *r, struct reply *reply);
void top_get(struct request *r, struct reply *reply);
/* api_live.c */
void state_get(struct request *r, struct reply *reply);
void connections_get(struct request *r, struct reply *reply);
void connection_get(struct request *r, struct reply *reply);
void connection_delete(struct request *r, struct reply *reply);
void events_get(struct request *r, struct reply *reply);
