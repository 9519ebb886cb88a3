//! Every store keeps the contract.

mod memory {
    use buttress::idempotency::MemoryStore;
    use buttress::sim::store_contract::{Bench, agrees_with_the_model, operations};
    use proptest::prelude::{ProptestConfig, proptest};

    async fn bench() -> Bench<MemoryStore> {
        Bench::new(MemoryStore::new())
    }

    buttress::store_contract! {
        #[tokio::test(start_paused = true)]
        bench
    }

    mod chosen_at_run_time {
        use buttress::idempotency::{AnyStore, MemoryStore};
        use buttress::sim::store_contract::Bench;

        async fn bench() -> Bench<AnyStore> {
            Bench::new(AnyStore::new(MemoryStore::new()))
        }

        buttress::store_contract! {
            #[tokio::test(start_paused = true)]
            bench
        }
    }

    mod on_threads {
        buttress::store_contract! {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            super::bench
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn operations_at_random_agree_with_the_model(operations in operations()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.unwrap().block_on(async {
                agrees_with_the_model(&bench().await, &operations).await;
            });
        }
    }
}

mod redis {
    use buttress::idempotency::RedisStore;
    use buttress::sim::store_contract::{Bench, agrees_with_the_model, operations};
    use proptest::prelude::{ProptestConfig, proptest};

    use crate::support::servers;

    async fn bench() -> Bench<RedisStore> {
        let builder = RedisStore::builder().prefix(servers::unique("contract"));
        Bench::new(builder.connect(&servers::redis()).await.unwrap())
    }

    buttress::store_contract! {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        bench
    }

    #[test]
    fn operations_at_random_agree_with_the_model() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let bench = runtime.block_on(bench());
        proptest!(ProptestConfig::with_cases(64), |(operations in operations())| {
            runtime.block_on(agrees_with_the_model(&bench, &operations));
        });
    }
}

mod postgres {
    use buttress::idempotency::PostgresStore;
    use buttress::sim::store_contract::{Bench, agrees_with_the_model, operations};
    use proptest::prelude::{ProptestConfig, proptest};

    use crate::support::servers;

    async fn with_statements_cached(cached: bool) -> Bench<PostgresStore> {
        let url = servers::schema(&servers::postgres()).await;
        let builder = PostgresStore::builder().max_connections(4).statement_cache(cached);
        let store = builder.connect(&url).await.unwrap();
        store.migrate().await.unwrap();
        Bench::new(store)
    }

    async fn bench() -> Bench<PostgresStore> {
        with_statements_cached(true).await
    }

    buttress::store_contract! {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        bench
    }

    mod without_cached_statements {
        async fn bench() -> super::Bench<super::PostgresStore> {
            super::with_statements_cached(false).await
        }

        buttress::store_contract! {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            bench
        }
    }

    #[test]
    fn operations_at_random_agree_with_the_model() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let bench = runtime.block_on(bench());
        proptest!(ProptestConfig::with_cases(64), |(operations in operations())| {
            runtime.block_on(agrees_with_the_model(&bench, &operations));
        });
    }
}
