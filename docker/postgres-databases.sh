#!/bin/sh
# Run once by PostgreSQL's image, on an empty data folder: a database and a user for each service, and one for learning
# curves. Nobody can open another's.
set -eu

make() { # database, password
  psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --set name="$1" --set password="$2" \
       --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

make gateway "$GATEWAY_DATABASE_PASSWORD"
make dataset_svc "$DATASET_DATABASE_PASSWORD"
make algo_svc "$ALGO_DATABASE_PASSWORD"
make train_svc "$TRAIN_DATABASE_PASSWORD"
make train_svc_metrics "$TRAIN_DATABASE_PASSWORD"
make notebook_svc "$NOTEBOOK_DATABASE_PASSWORD"
make serving_svc "$SERVING_DATABASE_PASSWORD"
