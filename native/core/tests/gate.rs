//! Which key ids pass the partition gate (contract.md 1.4).

use asherah_core::gate::Gate;

const CORE: &str = "_IK_a_svc_prod";

fn admitted(suffix: &str, accepted: &[&str], ids: &[(&str, bool)]) {
    let accepted: Vec<String> = accepted.iter().map(|suffix| (*suffix).to_owned()).collect();
    let gate = Gate::new(suffix, &accepted);
    for (id, passes) in ids {
        assert_eq!(gate.admits(CORE, id), *passes, "suffix {suffix:?}, accepted {accepted:?}: {id}");
    }
}

#[test]
fn without_a_suffix_only_the_own_id_passes() {
    let ids = [
        (CORE, true),
        ("", false),
        ("_IK_a_svc_pro", false),
        ("_IK_a_svc_prod2", false),
        ("_IK_a_svc_prod_", false),
        ("_IK_a_svc_prod_us-west-2", false),
        ("_IK_a_svc_prod_x_svc_prod", false),
        ("_IK_A_svc_prod", false),
        (" _IK_a_svc_prod", false),
        ("_IK_a_svc_prod ", false),
        ("_IK_a_svc_prod\0", false),
        ("_SK_svc_prod", false),
        ("_IK_b_svc_prod", false),
        ("_IK__svc_prod", false),
        // Composed and decomposed forms are different ids.
        ("_IK_\u{e1}_svc_prod", false),
    ];
    admitted("", &[], &ids);
    admitted("", &["us-west-2", "x", ""], &ids);
}

#[test]
fn with_a_suffix_own_configured_and_region_shaped_ones_pass() {
    let ids = [
        (CORE, true),
        ("_IK_a_svc_prod_us-west-2", true),
        ("_IK_a_svc_prod_eu-central-1", true),
        ("_IK_a_svc_prod_X9", true),
        ("_IK_a_svc_prod_-", true),
        ("_IK_a_svc_prod_", false),
        ("_IK_a_svc_prod__", false),
        ("_IK_a_svc_prod2", false),
        ("_IK_a_svc_prod2_us-west-2", false),
        ("_IK_a_svc_prod-us-west-2", false),
        ("_IK_a_svc_produs-west-2", false),
        ("_IK_a_svc_prod_us-west-2_", false),
        ("_IK_a_svc_prod_us_west_2", false),
        ("_IK_a_svc_prod_us-west-2 ", false),
        ("_IK_a_svc_prod_us-west-2\n", false),
        ("_IK_a_svc_prod_us.west", false),
        ("_IK_a_svc_prod_\u{e9}", false),
        ("_IK_a_svc_prod_\u{ff11}", false),
        // Where the service is `prod` too, this is partition `a_prod`.
        ("_IK_a_svc_prod_prod", false),
        // Partition `a_svc_prod_x` in the same region: the Rust peer lets it pass.
        ("_IK_a_svc_prod_x_svc_prod_us-west-2", false),
        ("_IK_a_svc_prod_x_svc_prod", false),
        ("_IK_b_svc_prod_us-west-2", false),
        ("_SK_svc_prod_us-west-2", false),
        ("", false),
    ];
    admitted("us-west-2", &[], &ids);
    admitted("us-west-2", &[""], &ids);
}

#[test]
fn suffixes_that_are_not_region_shaped_pass_when_configured() {
    admitted(
        "dc_1",
        &["dc_2", "d\u{e9}"],
        &[
            ("_IK_a_svc_prod_dc_1", true),
            ("_IK_a_svc_prod_dc_2", true),
            ("_IK_a_svc_prod_d\u{e9}", true),
            ("_IK_a_svc_prod_us-east-1", true),
            ("_IK_a_svc_prod_dc_3", false),
            ("_IK_a_svc_prod_dc_1_dc_2", false),
            ("_IK_a_svc_proddc_1", false),
        ],
    );
    admitted("us-west-2", &["dc_2"], &[("_IK_a_svc_prod_dc_1", false), ("_IK_a_svc_prod_dc_2", true)]);
}

#[test]
fn the_own_id_carries_the_suffix() {
    assert_eq!(Gate::new("", &[]).own_id(CORE), CORE);
    assert_eq!(Gate::new("us-west-2", &[]).own_id(CORE), "_IK_a_svc_prod_us-west-2");
}
