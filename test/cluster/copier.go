// A controller as people write them with controller-runtime: it keeps a copy of every ConfigMap that carries a label as a
// Secret, which goes with it. With the library's defaults, so that it speaks to the API server as any such program does.
//
// Its argument is the namespace that it works in. It ends at SIGTERM, and prints then in which forms it has sent and been
// answered, as one line of JSON: how often for each method, or DISCOVER, and content type.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

const (
	label     = "copy-as"
	finalizer = "copies.example.com/finalizer"
	copied    = "copies.example.com/copied"
)

type copier struct {
	client.Client
	events events.EventRecorder
}

func (c *copier) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	original := &corev1.ConfigMap{}
	if err := c.Get(ctx, request.NamespacedName, original); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = original.Namespace, original.Labels[label]
	if !original.DeletionTimestamp.IsZero() {
		if err := client.IgnoreNotFound(c.Delete(ctx, secret)); err != nil {
			return ctrl.Result{}, err
		}
		controllerutil.RemoveFinalizer(original, finalizer)
		return ctrl.Result{}, client.IgnoreNotFound(c.Update(ctx, original))
	}
	if controllerutil.AddFinalizer(original, finalizer) {
		return ctrl.Result{}, c.Update(ctx, original)
	}
	result, err := controllerutil.CreateOrUpdate(ctx, c.Client, secret, func() error {
		secret.Data = map[string][]byte{}
		for key, value := range original.Data {
			secret.Data[key] = []byte(value)
		}
		return controllerutil.SetControllerReference(original, secret, c.Scheme())
	})
	if err != nil || result == controllerutil.OperationResultNone {
		return ctrl.Result{}, err
	}
	c.events.Eventf(original, secret, corev1.EventTypeNormal, "Copied", "Copy", "Secret %s was %s", secret.Name, result)
	before := original.DeepCopy()
	if original.Annotations == nil {
		original.Annotations = map[string]string{}
	}
	original.Annotations[copied] = string(result)
	return ctrl.Result{}, c.Patch(ctx, original, client.MergeFrom(before))
}

// discovery is where the API server says what it serves: all of it, or that of a group or version.
var discovery = regexp.MustCompile(`^/(api|apis)(/[^/]+){0,2}$`)

// forms says how often a method was sent and answered with which content types.
type forms struct {
	sync.Mutex
	counts map[string]int
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

func (f *forms) count(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		if err == nil {
			sent, answered := request.Header.Get("Content-Type"), response.Header.Get("Content-Type")
			method := request.Method
			if discovery.MatchString(request.URL.Path) {
				method = "DISCOVER"
			}
			f.Lock()
			f.counts[fmt.Sprintf("%s %s -> %s", method, sent, answered)]++
			f.Unlock()
		}
		return response, err
	})
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	namespace := os.Args[1]
	ctrl.SetLogger(logr.Discard())
	config := ctrl.GetConfigOrDie()
	counted := &forms{counts: map[string]int{}}
	config.Wrap(counted.count)
	manager, err := ctrl.NewManager(config, ctrl.Options{
		LeaderElection:                true,
		LeaderElectionID:              "copies.example.com",
		LeaderElectionNamespace:       namespace,
		LeaderElectionReleaseOnCancel: true,
		Metrics:                       server.Options{BindAddress: "0"},
		Cache:                         cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
	})
	must(err)
	labelled := predicate.NewPredicateFuncs(func(object client.Object) bool { return object.GetLabels()[label] != "" })
	must(ctrl.NewControllerManagedBy(manager).
		For(&corev1.ConfigMap{}, builder.WithPredicates(labelled)).
		Owns(&corev1.Secret{}).
		Complete(&copier{Client: manager.GetClient(), events: manager.GetEventRecorder("copier")}))
	must(manager.Start(ctrl.SetupSignalHandler()))
	counted.Lock()
	defer counted.Unlock()
	must(json.NewEncoder(os.Stdout).Encode(counted.counts))
}
