// Argo CD's own engine without the rest of Argo CD: does once what its application controller does with an application.
//
// Arguments: a directory of manifests, the namespace of what names none, and what to do. KUBECONFIG names the cluster. What
// it found or did is printed as an object of JSON, by GROUP/KIND/NAMESPACE/NAME:
//
//	refresh       how each of Argo CD's three comparisons finds it changed (empty where none does), `missing`, or `extra`
//	sync-client   what became of it: client-side apply, and what is not in the directory any more is pruned
//	sync-server   the same with server-side apply
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/cache"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/engine"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	application = "app"
	// Both ways of Argo CD to say whose an object is: the second is the default since its version 3.
	instanceLabel      = "app.kubernetes.io/instance"
	trackingAnnotation = "argocd.argoproj.io/tracking-id"
	manager            = "argocd-controller"
)

type argo struct {
	directory, namespace string
	cluster              cache.ClusterCache
	engine               engine.GitOpsEngine
	dryRunner            diff.ServerSideDryRunner
}

func main() {
	log := logr.Discard()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	must(err)
	config.QPS, config.Burst = 500, 1000
	cluster := cache.NewClusterCache(config, cache.SetLogr(log),
		cache.SetPopulateResourceInfoHandler(func(object *unstructured.Unstructured, isRoot bool) (any, bool) {
			return nil, object.GetLabels()[instanceLabel] == application
		}))
	kubectl := &kube.KubectlCmd{Log: log, Tracer: tracing.NopTracer{}}
	applier, cleanup, err := kubectl.ManageServerSideDiffDryRuns(config)
	must(err)
	defer cleanup()
	one := &argo{
		directory: os.Args[1],
		namespace: os.Args[2],
		cluster:   cluster,
		engine:    engine.NewEngine(config, cluster, engine.WithLogr(log)),
		dryRunner: diff.NewK8sServerSideDryRunner(applier),
	}
	must(cluster.EnsureSynced())
	targets, err := one.targets()
	must(err)
	var answer map[string]string
	if os.Args[3] == "refresh" {
		answer, err = one.refresh(targets)
	} else {
		answer, err = one.sync(targets, os.Args[3] == "sync-server")
	}
	must(err)
	must(json.NewEncoder(os.Stdout).Encode(answer))
}

func isManaged(resource *cache.Resource) bool {
	return resource.Resource != nil && resource.Resource.GetLabels()[instanceLabel] == application
}

// targets are the manifests as Argo CD would have them applied.
func (a *argo) targets() ([]*unstructured.Unstructured, error) {
	files, err := filepath.Glob(filepath.Join(a.directory, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var targets []*unstructured.Unstructured
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		objects, err := kube.SplitYAML(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		targets = append(targets, objects...)
	}
	for _, target := range targets {
		group := target.GroupVersionKind().GroupKind()
		// A kind that is not served yet is one of the sandboxes', which are all namespaced.
		if namespaced, err := a.cluster.IsNamespaced(group); target.GetNamespace() == "" && (err != nil || namespaced) {
			target.SetNamespace(a.namespace)
		}
		labels, annotations := target.GetLabels(), target.GetAnnotations()
		if labels == nil {
			labels = map[string]string{}
		}
		if annotations == nil {
			annotations = map[string]string{}
		}
		labels[instanceLabel] = application
		annotations[trackingAnnotation] = fmt.Sprintf("%s:%s/%s:%s/%s", application, group.Group, group.Kind, target.GetNamespace(), target.GetName())
		target.SetLabels(labels)
		target.SetAnnotations(annotations)
	}
	return targets, nil
}

func (a *argo) refresh(targets []*unstructured.Unstructured) (map[string]string, error) {
	live, err := a.cluster.GetManagedLiveObjs(targets, isManaged)
	if err != nil {
		return nil, err
	}
	answer := map[string]string{}
	compared := sync.Reconcile(targets, live, a.namespace, a.cluster)
	for at, target := range compared.Target {
		found := compared.Live[at]
		switch {
		case target == nil:
			answer[keyOf(found)] = "extra"
		case found == nil:
			answer[keyOf(target)] = "missing"
		default:
			if answer[keyOf(target)], err = a.compare(target, found); err != nil {
				return nil, fmt.Errorf("%s: %w", keyOf(target), err)
			}
		}
	}
	return answer, nil
}

func (a *argo) compare(target, live *unstructured.Unstructured) (string, error) {
	parser := a.cluster.GetGVKParser()
	comparisons := []struct {
		name    string
		options []diff.Option
	}{
		{"three-way", nil},
		{"structured merge", []diff.Option{diff.WithStructuredMergeDiff(true)}},
		{"server-side", []diff.Option{diff.WithServerSideDiff(true), diff.WithServerSideDryRunner(a.dryRunner)}},
	}
	said := ""
	for _, each := range comparisons {
		options := append(each.options, diff.WithLogr(logr.Discard()), diff.WithGVKParser(parser), diff.WithManager(manager))
		result, err := diff.Diff(target, live, options...)
		if err != nil {
			return "", fmt.Errorf("%s: %w", each.name, err)
		}
		if result.Modified {
			wanted, found := decoded(result.PredictedLive), decoded(result.NormalizedLive)
			said += fmt.Sprintf("%s: %s\n", each.name, strings.Join(differences("", wanted, found), ", "))
		}
	}
	return said, nil
}

func (a *argo) sync(targets []*unstructured.Unstructured, serverSide bool) (map[string]string, error) {
	results, err := a.engine.Sync(context.Background(), targets, isManaged, "revision", a.namespace,
		sync.WithPrune(true), sync.WithServerSideApply(serverSide), sync.WithServerSideApplyManager(manager), sync.WithLogr(logr.Discard()))
	if err != nil {
		return nil, err
	}
	answer := map[string]string{}
	for _, each := range results {
		answer[each.ResourceKey.String()] = fmt.Sprintf("%s: %s", each.Status, each.Message)
	}
	return answer, nil
}

func decoded(text []byte) (value any) {
	must(json.Unmarshal(text, &value))
	return value
}

// differences are the places where two values of JSON part, with both.
func differences(place string, wanted, found any) (said []string) {
	one, isMap := wanted.(map[string]any)
	other, both := found.(map[string]any)
	if !isMap || !both {
		if !reflect.DeepEqual(wanted, found) {
			said = append(said, fmt.Sprintf("%s: wanted %v, found %v", place, wanted, found))
		}
		return said
	}
	for key, value := range one {
		said = append(said, differences(place+"."+key, value, other[key])...)
	}
	for key, value := range other {
		if _, known := one[key]; !known {
			said = append(said, differences(place+"."+key, nil, value)...)
		}
	}
	return said
}

func keyOf(object *unstructured.Unstructured) string {
	key := kube.GetResourceKey(object)
	return key.String()
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
